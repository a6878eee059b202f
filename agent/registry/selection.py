"""Which services are followed, and which of them to read again. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST = 100
"""Services that an agent follows when it is told to follow all."""

Marks = Mapping[str, frozenset[tuple[str, str, str]]]
"""By service: node, check and status of all its checks; the nodes' own checks below the empty name."""


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


def marks(rows: Iterable[object]) -> Marks:
    """Sort an answer about all checks by service; rows that are no checks are ignored."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for row in rows:
        if isinstance(row, dict):
            check = (str(row.get("Node")), str(row.get("CheckID")), str(row.get("Status")))
            found.setdefault(str(row.get("ServiceName") or ""), set()).add(check)
    return {name: frozenset(checks) for name, checks in found.items()}


def changed(before: Marks, after: Marks, names: tuple[str, ...]) -> tuple[str, ...]:
    """The services among ``names`` to read again; a node's own check concerns all."""
    if before.get("") != after.get(""):
        return names
    return tuple(name for name in names if before.get(name) != after.get(name))
