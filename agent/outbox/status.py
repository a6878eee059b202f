"""What the relay says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.outbox.parked.shelf import Shelf
from agent.outbox.stops import Stop


@dataclass(frozen=True)
class Stopped:
    """A bucket that stands still behind a refused event; its keys' later events wait."""

    bucket: int
    row: int
    """The refused row's number in its table."""
    reason: str
    seconds: float
    """For how long."""


@dataclass(frozen=True)
class SetAside:
    """How much is set aside; `pillion outbox parked` lists it."""

    held: int = 0
    """Keys that are tried again by themselves."""
    parked: int = 0
    """Keys that wait for a person."""
    replaying: int = 0
    rows: int = 0
    oldest: float = 0.0
    """Seconds since the first of the keys was set aside."""


@dataclass(frozen=True)
class FeedStatus:
    """One feed as this agent sees it."""

    feed: str
    role: str
    """``active``: this agent relays it or some of it; ``standby``: others do, or it can't be had now."""
    problem: str = ""
    """What is missing, as a sentence; empty when nothing is."""
    owner: str = ""
    """Who relays it, as far as known."""
    published: int = 0
    """Events acknowledged since this agent joined."""
    rate: float = 0.0
    """Events a second, lately."""
    lag: float = 0.0
    """Seconds: everything committed longer ago is published. Only where active."""
    stopped: tuple[Stopped, ...] = ()
    warnings: tuple[str, ...] = ()
    """What makes the broker's acknowledgement less durable than it sounds."""
    set_aside: SetAside = SetAside()
    """All of the feed, as last counted."""
    buckets: int = 0
    """How many of the feed's 64 buckets of keys this agent relays."""


def stopped(stops: Mapping[int, Stop], now: float) -> tuple[Stopped, ...]:
    """The stopped buckets in order."""
    return tuple(
        Stopped(bucket, stop.row, stop.reason, round(now - stop.since, 1))
        for bucket, stop in sorted(stops.items())
    )


def set_aside(shelf: Shelf | None) -> SetAside:
    """What the shelf's last count says."""
    if shelf is None:
        return SetAside()
    count = shelf.tally.keys
    return SetAside(
        count.get("held", 0),
        count.get("parked", 0),
        count.get("replaying", 0),
        shelf.tally.rows,
        round(shelf.tally.oldest, 1),
    )
