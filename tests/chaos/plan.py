"""What fails when, made from a seed: the same seed gives the same plan. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

LASTING: Mapping[str, tuple[float, float]] = {
    "relay_killed": (0.1, 3.0),
    "relay_stopped": (0.5, 6.0),
    "relay_twin": (1.0, 4.0),
    "buckets_stolen": (0.0, 0.0),
    "bucket_stolen": (0.0, 0.0),
    "backends_killed": (0.0, 0.0),
    "sessions_killed": (0.0, 0.0),
    "database_crashed": (0.0, 1.0),
    "database_cut": (0.2, 4.0),
    "database_mute": (0.5, 5.0),
    "database_slow": (1.0, 4.0),
    "database_failed_over": (0.5, 3.0),
    "database_restored": (1.0, 4.0),
    "broker_killed": (0.0, 3.0),
    "broker_stopped": (0.0, 3.0),
    "broker_cut": (0.2, 4.0),
    "broker_mute": (0.5, 5.0),
    "broker_slow": (1.0, 4.0),
    "broker_full": (1.0, 4.0),
    "broker_strict": (1.0, 4.0),
    "clock_moved": (0.5, 4.0),
}
"""Seconds that a fault of each kind lasts. *mute*: the network takes everything and carries nothing. *strict*: the
broker refuses what is larger than usual."""

FLOOD = "database_flooded"
"""The kind of the one large transaction: nothing ends the database meanwhile, or it would never be committed."""

PAGES = (10, 100, 1000)


@dataclass(frozen=True)
class Planned:
    """One fault."""

    at: float
    """Seconds after the start."""
    kind: str
    lasting: float
    which: int
    """Of the relays, which; of buckets, from where on; of clocks, forward or back."""


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    seconds: float
    page: int
    relays: int
    faults: tuple[Planned, ...]
    flood: int = 0
    """Rows of one transaction that comes once, 0: none does."""


def plan(seed: int, seconds: float, flood: int = 0) -> Plan:
    """The faults in order of time. Every kind comes once before any comes again, but the flood once only."""
    chance = random.Random(seed)
    page = chance.choice(PAGES)
    relays = chance.choice((2, 3))
    faults = dealt(chance, seconds, LASTING)
    if flood:
        faults.append(Planned(seconds / 3, FLOOD, 0.0, 0))
        faults.sort(key=lambda each: each.at)
        page = PAGES[-1]
    return Plan(seed, seconds, page, relays, tuple(faults), flood)


def dealt(chance: random.Random, seconds: float, lasting: Mapping[str, tuple[float, float]]) -> list[Planned]:
    """Faults of these kinds, dealt like cards until the time is over."""
    faults = []
    deck: list[str] = []
    at = chance.uniform(1.0, 3.0)
    while at < seconds:
        if not deck:
            deck = sorted(lasting)
            chance.shuffle(deck)
        kind = deck.pop()
        faults.append(Planned(at, kind, chance.uniform(*lasting[kind]), chance.randrange(64)))
        at += chance.uniform(1.0, 4.0)
    return faults
