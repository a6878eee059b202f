"""What fails when, made from a seed: the same seed gives the same plan. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

LASTING: Mapping[str, tuple[float, float]] = {
    "relay_killed": (0.1, 3.0),
    "relay_stopped": (0.5, 6.0),
    "relay_twin": (1.0, 4.0),
    "buckets_stolen": (0.0, 0.0),
    "backends_killed": (0.0, 0.0),
    "sessions_killed": (0.0, 0.0),
    "database_crashed": (0.0, 1.0),
    "database_cut": (0.2, 4.0),
    "database_mute": (0.5, 5.0),
    "database_slow": (1.0, 4.0),
    "broker_killed": (0.0, 3.0),
    "broker_stopped": (0.0, 3.0),
    "broker_cut": (0.2, 4.0),
    "broker_mute": (0.5, 5.0),
    "broker_slow": (1.0, 4.0),
    "broker_full": (1.0, 4.0),
    "clock_moved": (0.5, 4.0),
}
"""Seconds that a fault of each kind lasts. *mute*: the network takes everything and carries nothing."""

PAGES = (10, 100, 1000)


@dataclass(frozen=True)
class Planned:
    """One fault."""

    at: float
    """Seconds after the start."""
    kind: str
    lasting: float
    which: int
    """Of two relays, which; of buckets, from where on; of clocks, forward or back."""


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    seconds: float
    page: int
    faults: tuple[Planned, ...]


def plan(seed: int, seconds: float) -> Plan:
    """The faults in order of time. Every kind comes once before any comes again."""
    chance = random.Random(seed)
    page = chance.choice(PAGES)
    faults = []
    deck: list[str] = []
    at = chance.uniform(1.0, 3.0)
    while at < seconds:
        if not deck:
            deck = sorted(LASTING)
            chance.shuffle(deck)
        kind = deck.pop()
        faults.append(Planned(at, kind, chance.uniform(*LASTING[kind]), chance.randrange(64)))
        at += chance.uniform(1.0, 4.0)
    return Plan(seed, seconds, page, tuple(faults))
