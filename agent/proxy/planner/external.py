"""What is done with requests to hosts that are no service of the mesh."""

import re
from collections.abc import Iterable, Sequence

from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import direct, headers
from agent.proxy.planner.durations import seconds
from agent.proxy.snapshot import Resource

CLUSTER = "external_hosts"
HOP = "x-pillion-hop"
"""Marks a request to some host on a port of ours: if it comes back, the host is this machine under another
name."""

REFUSED = "refused"
"""The route of what ``outbound.policy`` refuses; no other has this name."""

EVERY: tuple[Resource, ...] = ({"prefix": "/"}, {"connect_matcher": {}})
_OURS = (
    r"(?:0*127|0x0*7f|0+177)(?:\.[0-9a-fx]+){1,3}",
    "0x7f[0-9a-f]{6}|0+177[0-7]{8}|21[34][0-9]{7}",  # the same as one number
    r"0x0+|0+(?:\.0+){0,3}",
    r"(?:[a-z0-9-]+\.)*localhost|localhost\.localdomain|ip6-localhost|ip6-loopback",
    r"\[[0:]*:1?\]",
    r"\[[0:]*:(?:ffff:)?(?:127(?:\.[0-9]+){3}|7f[0-9a-f]{2}:[0-9a-f]{1,4}|0\.0\.0\.0)\]",
)
"""Every way to write this machine's own address that a client or a resolver may know, as patterns."""
_WILD = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_TUNNEL_IDLE = 3600.0
"""Seconds; pooled TLS connections are silent for long."""


def external_host(
    settings: Settings, hosts: Sequence[str], outbound: Iterable[int], inbound: int
) -> Resource:
    """The virtual host of all hosts that no service has.

    ``hosts`` are this machine's names and addresses; ``outbound`` the ports on which the service's own
    requests arrive.
    """
    own = _own_names(settings, hosts)
    routes = [*_loops(own, sorted(outbound), inbound), *_agent(own, Address.parse(settings.admin.listen).port)]
    if settings.outbound.policy == "registry_only":
        body = direct.problem(
            502,
            "Not a registered service",
            "The host is no service of the mesh, and outbound.policy is registry_only.",
        )
        routes += [direct.answer(match, 502, body, name=REFUSED) for match in EVERY]
    else:
        routes += [*_marked(sorted(outbound)), _tunnel(), _plain(settings)]
    return {"name": "external", "domains": ["*"], "routes": routes}


def _own_names(settings: Settings, hosts: Sequence[str]) -> str:
    """A pattern of all that means this machine."""
    told = {*hosts, settings.service.address}
    told |= {Address.parse(one).host for one in (settings.proxy.inbound, settings.proxy.outbound)}
    named = sorted(re.escape(_bracketed(host)) for host in told - {"", *_WILD})
    return "|".join([*_OURS, *named])


def _loops(own: str, outbound: list[int], inbound: int) -> list[Resource]:
    """What is asked of the sidecar's own listeners by this machine's own names."""
    body = direct.problem(
        508, "Loop detected", "The request is for the sidecar's own listener; name the service instead."
    )
    here = _authority(f"(?:{own})", [*outbound, inbound])
    return [direct.answer({**match, "headers": [here]}, 508, body, name="loop") for match in EVERY]


def _agent(own: str, port: int) -> list[Resource]:
    """What is asked of the agent's own API: it answers programs on this machine, which need no proxy."""
    body = direct.problem(
        403, "Not through the sidecar", "The agent's own API is called directly: NO_PROXY has this machine."
    )
    here = _authority(f"(?:{own})", [port])
    return [direct.answer({**match, "headers": [here]}, 403, body, name="agent") for match in EVERY]


def _marked(outbound: list[int]) -> list[Resource]:
    """Hosts on a port of ours that are this machine under a name that is not known here: one round, then 508."""
    body = direct.problem(
        508, "Loop detected", "The host is this machine, and the port the sidecar's; name the service instead."
    )
    some = _authority(".*", outbound)
    back = [some, {"name": HOP, "present_match": True}]
    marked = {"route": _action(), "request_headers_to_add": [headers.overwrite(HOP, "1")]}
    return [
        direct.answer({"prefix": "/", "headers": back}, 508, body, name="loop by another name"),
        {"name": "external marked", "match": {"prefix": "/", "headers": [some]}, **marked},
    ]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _authority(host: str, ports: Iterable[int]) -> Resource:
    ends = "|".join("(?::80)?" if port == 80 else f":{port}" for port in ports)
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": f"(?i)(?:[^@]*@)?{host}(?:{ends})"}}}


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
