"""The listener by which a request comes, and the request as it arrives there."""

import ipaddress
from dataclasses import dataclass

from agent.model.direct import LOCAL, METADATA
from agent.proxy.explain.ask import Ask, Parts, Side, parts
from agent.proxy.explain.matching import port_start
from agent.proxy.explain.request import Request
from agent.proxy.planner import gateway, inbound, outbound
from agent.proxy.planner.fragments import connection_manager
from agent.proxy.snapshot import Resource, Snapshot
from agent.runtime.errors import Permanent


@dataclass(frozen=True)
class Door:
    """A listener with a request in front of it."""

    name: str
    address: str
    manager: Resource
    request: Request
    notes: tuple[str, ...]
    """What happens before, at the client."""


def door(ask: Ask, snapshot: Snapshot, authority: str) -> Door:
    """Which listener the request meets. ``authority`` is what a client names that only gives a path.

    Raises Permanent for what no client could send, and for a listener that this plan has not."""
    sent = parts(ask)
    host = sent.authority or authority
    name = _name(ask.side, host, snapshot)
    listener = snapshot.listeners.get(name)
    if listener is None:
        kind = "a gateway" if gateway.NAME in snapshot.listeners else "a sidecar"
        raise Permanent(f"this is the configuration of {kind}: it has no listener {name}")
    socket = listener["address"]["socket_address"]
    request, notes = _request(sent, host, ask.side)
    if name == outbound.NAME and _bare(host) in {*LOCAL, *METADATA}:
        notes += (f"NO_PROXY has {_bare(host)}: most clients go there directly, past Pillion.",)
    return Door(
        name,
        f"{socket['address']}:{socket['port_value']}",
        connection_manager(listener, name),
        request,
        notes,
    )


def _name(side: Side, authority: str, snapshot: Snapshot) -> str:
    if side is not Side.OUTBOUND:
        return gateway.NAME if side is Side.GATEWAY else inbound.NAME
    port = authority[port_start(authority) + 1 :]
    if _is_loopback(_bare(authority)):
        for name, listener in snapshot.listeners.items():
            # Without filter chains it takes no connections: the one for DNS.
            explicit = name not in (inbound.NAME, outbound.NAME) and "filter_chains" in listener
            if explicit and str(listener["address"].get("socket_address", {}).get("port_value")) == port:
                return name
    return outbound.NAME


def _request(sent: Parts, host: str, side: Side) -> tuple[Request, tuple[str, ...]]:
    if side is not Side.OUTBOUND or sent.method == "CONNECT" or sent.scheme != "https":
        return Request(sent.method, host, sent.path, sent.headers), ()
    with_port = host if port_start(host) < len(host) else f"{host}:443"
    note = (
        "Clients bring https here only where HTTPS_PROXY is set, and then as CONNECT; what is within the "
        "tunnel nobody sees."
    )
    return Request("CONNECT", with_port, None), (note,)


def _bare(authority: str) -> str:
    return authority[: port_start(authority)].rstrip(".").lower()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
