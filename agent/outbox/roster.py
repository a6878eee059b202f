"""Who has which buckets of a feed, as its tables and some looks at them show: for ``pillion outbox status``.

A relay is alive while its beat moves, and no clock is compared: so it is looked at until every beat has moved, or for
longer than a beat takes.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from agent.outbox.database import Connection
from agent.outbox.leases import Ledger, beats_every
from agent.outbox.names import identifier
from agent.outbox.shares import View

State = Literal["alive", "silent", "gone", "nobody"]
"""Its beat moved; it is a member whose beat did not, so that another one takes its buckets after ``outbox.lease``; it
is no member, so that whoever looks next takes them, as what nobody has."""

LOOK = 0.1
"""Seconds between two looks."""

_SINCE = "extract(epoch FROM now() - (to_jsonb(r) ->> 'since')::timestamptz)::float8"
"""As JSON, for the tables of an earlier version do not say it."""


@dataclass(frozen=True)
class Share:
    """What one relay of a feed has."""

    relay: str
    """Empty: nobody."""
    state: State
    buckets: int
    epochs: Mapping[int, int]
    """Of each of these buckets; one rises whenever its owner changes."""
    seconds: float | None = None
    """Since it joined the feed; None where that is not known."""

    @property
    def orphaned(self) -> int:
        """Buckets that nobody works on."""
        return 0 if self.state == "alive" else self.buckets


def shares(
    view: View, later: Mapping[str, int], since: Mapping[str, float | None] | None = None
) -> tuple[Share, ...]:
    """Each relay's share, and what nobody has. ``later`` are beats after the view's; ``since`` are seconds."""
    names = {*view.beats, *view.owners.values()}
    found = []
    for name in sorted(names, key=lambda name: name or "\U0010ffff"):
        epochs = {bucket: view.epochs[bucket] for bucket, owner in view.owners.items() if owner == name}
        seconds = (since or {}).get(name) if name is not None else None
        found.append(Share(name or "", _state(view, later, name), len(epochs), epochs, seconds))
    return tuple(found)


def _state(view: View, later: Mapping[str, int], name: str | None) -> State:
    if name is None:
        return "nobody"
    if name not in view.beats:
        return "gone"
    return "alive" if later.get(name, view.beats[name]) != view.beats[name] else "silent"


async def roster(
    connection: Connection,
    schema: str,
    feed: str,
    lease: float,
    *,
    clock: Callable[[], float],
    rest: Callable[[float], Awaitable[None]],
) -> tuple[Share, ...]:
    """The shares of a feed that is prepared; raises Transient or Permanent. ``clock`` returns seconds, ``rest`` waits
    for so many."""
    ledger = Ledger(schema, feed, clock)
    first = now = await ledger.view(connection)
    later: dict[str, int] = {}
    ends = clock() + 1.5 * beats_every(lease)
    while not now.beats.keys() <= later.keys() and clock() < ends:
        await rest(LOOK)
        now = await ledger.view(connection)
        # Who came meanwhile has shown itself by that.
        moved = {name: beat for name, beat in now.beats.items() if first.beats.get(name) != beat}
        later.update(moved)
    before = View({name: first.beats.get(name, -1) for name in now.beats}, now.owners, now.epochs)
    return shares(before, later, await _since(connection, schema, feed))


async def _since(connection: Connection, schema: str, feed: str) -> dict[str, float | None]:
    rows = await connection.fetch(
        f"looking at the relays of {feed}",
        f"SELECT r.id, {_SINCE} AS seconds FROM {identifier(schema)}.relay r WHERE r.feed = $1",
        feed,
    )
    return {row["id"]: row["seconds"] for row in rows}
