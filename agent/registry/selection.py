"""Which services are followed, and which of them to read again. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

MOST = 100
"""Services that an agent follows when it is told to follow all."""

Marks = Mapping[str, int]
"""By service: a hash of node, check and status of all its checks; the nodes' own checks below the empty name."""


class Check(msgspec.Struct, frozen=True, gc=False):
    """What matters here of a check in Consul's answer; the rest, 400 bytes each, is never taken into memory."""

    node: str = msgspec.field(name="Node", default="")
    check: str = msgspec.field(name="CheckID", default="")
    status: str = msgspec.field(name="Status", default="")
    service: str = msgspec.field(name="ServiceName", default="")


@dataclass(frozen=True)
class Selection:
    """The services to follow."""

    names: tuple[str, ...] = ()
    """Sorted."""
    left_out: tuple[str, ...] = ()
    """Registered, but beyond the limit; sorted."""


def choose(followed: Iterable[str], listed: frozenset[str], held: frozenset[str]) -> Selection:
    """Those followed already stay while they are registered or still held;
    new ones fill up the limit by name.
    """
    staying = sorted(name for name in set(followed) if name in listed or name in held)
    names = [*staying, *sorted(listed - set(staying))]
    return Selection(tuple(sorted(names[:MOST])), tuple(sorted(names[MOST:])))


def marks(checks: Iterable[Check]) -> Marks:
    """Sort an answer about all checks by service."""
    found: dict[str, int] = {}
    for one in checks:
        # A sum does not depend on the order in which Consul tells them.
        found[one.service] = found.get(one.service, 0) + hash((one.node, one.check, one.status))
    return found


def changed(before: Marks, after: Marks, names: tuple[str, ...]) -> tuple[str, ...]:
    """The services among ``names`` to read again; a node's own check concerns all."""
    if before.get("") != after.get(""):
        return names
    return tuple(name for name in names if before.get(name) != after.get(name))
