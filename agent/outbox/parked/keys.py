"""What a key is called where it is set aside, and how many rows fit. Pure."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.outbox.delivery import Aside
from agent.outbox.events import Event

State = Literal["held", "parked", "replaying"]
"""Tried again by itself; waiting for a person; being sent because a person said so."""

SHOWN = 200
"""Characters of a key that are kept for people."""

LONGEST_REASON = 500

REMEMBERED = 10_000
"""Rows that were left out and are remembered. One that is read again after a crash must be left out again: the broker
might take it now, behind what followed it."""

HOME = 0
"""The bucket whose owner sends again all rows whose key could not be read: they may have one key when they are mended,
and two relays would send them in any order."""

_DIGEST = 32
_ALONE = "row:"


@dataclass(frozen=True)
class Limits:
    """How much may be set aside; at the bound a bucket stops."""

    each: int
    """Rows of one key."""
    total: int
    """Rows of a feed."""


@dataclass(frozen=True)
class Known:
    """A key that is set aside, as its owner remembers it."""

    bucket: int
    state: State
    reason: str


def identity(key: str | None, row: int) -> str:
    """The key's name: of fixed length, for a key may be longer than an index takes. An event without a key is ordered
    by nothing, so it is set aside alone."""
    return f"{_ALONE}{row}" if key is None else named(key)


def named(key: str) -> str:
    """The name of a key that is not absent, as it is read: see ``events.shortened``."""
    return "key:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]


def of(event: Event) -> str:
    """The name of an event's key."""
    return identity(event.key, event.row)


def line(name: str, event: Event) -> str:
    """By what an event that is set aside under this name is ordered when it is sent. One whose key could not be read is
    set aside alone; where the key can be by now, it orders it."""
    return named(event.key) if name.startswith(_ALONE) and event.key is not None else name


def shown(key: str | None) -> str | None:
    """The key's beginning."""
    return None if key is None else key[:SHOWN]


def fitting(
    asides: Sequence[Aside], limits: Limits, rows: Counter[str], total: int
) -> tuple[list[Aside], list[tuple[Aside, str]]]:
    """What may be kept, and what may not with the reason.

    ``rows`` are those that each key has, ``total`` all of the feed. Of a key a beginning is kept and no row behind one
    that is not, so that its order stays.
    """
    fit: list[Aside] = []
    over: list[tuple[Aside, str]] = []
    more: Counter[str] = Counter()
    for each in asides:
        if each.verdict == "skipped":
            fit.append(each)
            continue
        name = of(each.event)
        if rows[name] + more[name] >= limits.each:
            over.append((each, f"its key has {limits.each} rows set aside, the most of outbox.held_key_rows"))
        elif total + more.total() >= limits.total:
            over.append((each, f"{limits.total} rows are set aside, the most of outbox.held_rows"))
        else:
            more[name] += 1
            fit.append(each)
    return fit, over
