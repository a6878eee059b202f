"""This machine as a host name: what is asked of the sidecar's own listeners goes round, and is refused."""

import re
from collections.abc import Container, Iterable, Sequence

from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import direct
from agent.proxy.planner.names import is_ip
from agent.proxy.snapshot import Resource

EVERY: tuple[Resource, ...] = ({"prefix": "/"}, {"connect_matcher": {}})
"""Matches of all requests, tunnels among them."""
_OWN = (
    "localhost", "*.localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback",
    "127.*", "0.0.0.0",  # noqa: S104 - compared, not bound
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0.0.0.0]",
    # Forms that old resolvers read as 127.0.0.1 or 0.0.0.0.
    "0", "0x0", "2130706433", "0x7f000001", "0x7f.*", "017700000001", "0177.*",
)  # fmt: skip
"""Ways to write this machine's own address. Envoy's own patterns and no regular expressions, whose size it limits:
a name that is missing costs one round (``external``)."""
_NAME = re.compile(r"[a-z0-9._-]+")
_WILD = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def machine_host(
    settings: Settings,
    hosts: Iterable[str],
    outbound: Sequence[int],
    others: list[Resource],
    taken: Container[str],
) -> Resource:
    """The virtual host of this machine's own names.

    ``hosts`` are its further names and addresses, ``outbound`` the ports on which the service's own requests
    arrive, ``others`` the routes of all other ports. A domain in ``taken`` belongs to a service.
    """
    told = {*hosts, settings.service.address}
    told |= {Address.parse(one).host for one in (settings.proxy.inbound, settings.proxy.outbound)}
    named = sorted(filter(None, map(_domain, told - {"", *_WILD})))
    inbound = Address.parse(settings.proxy.inbound).port
    routes = [route for port in dict.fromkeys((*outbound, inbound)) for route in _loop(port)]
    routes += _agent(Address.parse(settings.admin.listen).port)
    domains = [one for one in dict.fromkeys((*_OWN, *named)) if one not in taken and not _covered(one)]
    return {"name": "machine", "domains": domains, "routes": [*routes, *others]}


def _domain(host: str) -> str:
    """A name or an address as Envoy compares it; empty for what is neither."""
    host = host.lower().rstrip(".")
    if is_ip(host):
        return f"[{host}]" if ":" in host else host
    return host if _NAME.fullmatch(host) else ""


def _covered(domain: str) -> bool:
    """Whether a pattern of ours has it already: Envoy takes the more exact one, so it would only be longer."""
    return domain not in _OWN and domain.startswith("127.")


def _loop(port: int) -> list[Resource]:
    body = direct.problem(
        508, "Loop detected", "The request is for the sidecar's own listener; name the service instead."
    )
    return [direct.answer(match, 508, body, name="loop") for match in _at(port)]


def _agent(port: int) -> list[Resource]:
    """The agent's own API answers programs on this machine, which need no proxy."""
    body = direct.problem(
        403, "Not through the sidecar", "The agent's own API is called directly: NO_PROXY has this machine."
    )
    return [direct.answer(match, 403, body, name="agent") for match in _at(port)]


def _at(port: int) -> list[Resource]:
    """Matches of requests and tunnels at a port."""
    ports: list[Resource] = [{"suffix": f":{port}"}]
    if port == 80:
        ports.append({"safe_regex": {"regex": r"[^:]+|\[.*\]"}})
    return [
        {**match, "headers": [{"name": ":authority", "string_match": one}]}
        for match in EVERY
        for one in ports
    ]
