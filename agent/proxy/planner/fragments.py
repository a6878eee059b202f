"""Envoy's static fragments as the planner uses them: data that was read elsewhere, copied before it is
filled."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.proxy.snapshot import Resource
from agent.runtime.errors import Misconfigured, Problem

NAMES = (
    "bootstrap",
    "inbound",
    "outbound",
    "dns",
    "gateway",
    "service_clusters",
    "upstream_cluster",
    "external_cluster",
    "tracing",
    "access_log",
    "refused_count",
    "local_replies",
    "refusals",
    "early_headers",
    "trace_context",
    "health_checks",
    "presence",
    "accept",
)
"""The files of the folder ``envoy``, without ``.yaml``."""


@dataclass(frozen=True)
class Fragments:
    """All fragments by name; see ``NAMES``."""

    content: Mapping[str, Any]

    def copy(self, name: str) -> Any:
        """A fragment of one's own to fill in."""
        return copy.deepcopy(self.content[name])


def connection_manager(listener: Resource, fragment: str) -> Resource:
    """The HTTP connection manager within a listener fragment.

    Raises Misconfigured when a replaced fragment has another shape.
    """
    try:
        found = listener["filter_chains"][0]["filters"][0]["typed_config"]
    except (KeyError, IndexError, TypeError) as error:
        wrong = f"has {fragment}.yaml without an HTTP connection manager as its first filter"
        raise Misconfigured(
            [Problem("proxy.assets_dir", wrong, "the shape of Pillion's own fragment")]
        ) from error
    return dict_of(found, fragment)


def within(content: Any, fragment: str, *path: str | int) -> Any:
    """What stands at a place within a fragment.

    Raises Misconfigured when a replaced fragment has another shape.
    """
    for step in path:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError) as error:
            wrong = f"has {fragment}.yaml without {'.'.join(map(str, path))}"
            raise Misconfigured(
                [Problem("proxy.assets_dir", wrong, "the shape of Pillion's own fragment")]
            ) from error
    return content


def dict_of(value: Any, fragment: str) -> Resource:
    """The value as a mapping; raises Misconfigured when it is none."""
    if not isinstance(value, dict):
        wrong = f"has {fragment}.yaml with {type(value).__name__} where a mapping belongs"
        raise Misconfigured([Problem("proxy.assets_dir", wrong)])
    return value
