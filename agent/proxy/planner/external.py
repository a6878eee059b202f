"""What is done with requests to hosts that are no service of the mesh."""

import re
from collections.abc import Iterable, Sequence

from agent.config.settings import Settings
from agent.proxy.planner import direct, headers
from agent.proxy.planner.durations import seconds
from agent.proxy.snapshot import Resource

CLUSTER = "external_hosts"
HOP = "x-pillion-hop"
"""Marks a request to some host on a port of ours: if it comes back, the host is this machine under another
name."""

EVERY: tuple[Resource, ...] = ({"prefix": "/"}, {"connect_matcher": {}})
_OURS = (r"127(?:\.[0-9]+){1,3}", "localhost", r"\[::1\]", r"0\.0\.0\.0", "0", r"\[::\]")
_TUNNEL_IDLE = 3600.0
"""Seconds; pooled TLS connections are silent for long."""


def external_host(
    settings: Settings, hosts: Sequence[str], outbound: Iterable[int], inbound: int
) -> Resource:
    """The virtual host of all hosts that no service has.

    ``hosts`` are this machine's names and addresses; ``outbound`` the ports on which the service's own
    requests arrive.
    """
    routes = _loops(hosts, sorted(outbound), inbound)
    if settings.outbound.policy == "registry_only":
        body = direct.problem(
            502,
            "Not a registered service",
            "The host is no service of the mesh, and outbound.policy is registry_only.",
        )
        routes = [
            *routes[: len(EVERY)],
            *(direct.answer(match, 502, body, name="refused") for match in EVERY),
        ]
    else:
        routes += [_tunnel(), _plain(settings)]
    return {"name": "external", "domains": ["*"], "routes": routes}


def _loops(hosts: Sequence[str], outbound: list[int], inbound: int) -> list[Resource]:
    body = direct.problem(
        508, "Loop detected", "The request is for the sidecar's own listener; name the service instead."
    )
    ours = "|".join([*_OURS, *(re.escape(_bracketed(host)) for host in sorted(set(hosts)))])
    own = _authority(f"(?:{ours})", [*outbound, inbound])
    some = _authority(".*", outbound)
    back = [some, {"name": HOP, "present_match": True}]
    marked = {"route": _action(), "request_headers_to_add": [headers.overwrite(HOP, "1")]}
    return [
        *(direct.answer({**match, "headers": [own]}, 508, body, name="loop") for match in EVERY),
        direct.answer({"prefix": "/", "headers": back}, 508, body, name="loop by another name"),
        {"name": "external marked", "match": {"prefix": "/", "headers": [some]}, **marked},
    ]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _authority(host: str, ports: Iterable[int]) -> Resource:
    ends = "|".join("(?::80)?" if port == 80 else f":{port}" for port in ports)
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": f"(?i){host}(?:{ends})"}}}


def _tunnel() -> Resource:
    upgrade = {"upgrade_type": "CONNECT", "connect_config": {}}
    action = {
        "cluster": CLUSTER,
        "timeout": "0s",
        "idle_timeout": seconds(_TUNNEL_IDLE),
        "upgrade_configs": [upgrade],
    }
    return {"name": "external tunnel", "match": {"connect_matcher": {}}, "route": action}


def _plain(settings: Settings) -> Resource:
    action = {**_action(), "idle_timeout": seconds(settings.traffic.idle_timeout)}
    return {"name": "external", "match": {"prefix": "/"}, "route": action}


def _action() -> Resource:
    retry = {"retry_on": "connect-failure", "num_retries": 1}
    return {"cluster": CLUSTER, "timeout": "0s", "retry_policy": retry}
