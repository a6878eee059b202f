"""Envoy's bootstrap: the fragment ``bootstrap.yaml`` and what differs from agent to agent."""

from dataclasses import dataclass
from pathlib import Path

from agent.proxy.snapshot import Resource

OTLP_CLUSTER = "otlp"
"""The cluster to which Envoy's tracer sends spans; there only where a tracing endpoint is set."""
XDS_CLUSTER = "xds"
"""The cluster that leads to the agent's unix socket."""


@dataclass(frozen=True)
class Node:
    """How an Envoy names itself."""

    id: str
    cluster: str
    zone: str = ""


def bootstrap(
    fragment: Resource, *, node: Node, admin: Path, xds: Path, otlp: str = "", heap_limit: int = 0
) -> Resource:
    """The whole bootstrap in Envoy's JSON form.

    ``admin`` and ``xds`` are unix sockets. ``otlp`` is the OTLP/HTTP endpoint as URL, empty for none; ``heap_limit`` is in
    bytes, 0 for none. Raises ValueError for an endpoint that is no http or https URL with a host.
    """
    raise NotImplementedError
