"""Ratios of medians with their intervals. Pure."""

import random
from collections.abc import Callable, Sequence
from statistics import median

RESAMPLES = 2000


def interval(
    ones: Sequence[float], others: Sequence[float], figure: Callable[[float, float], float]
) -> tuple[float, float, float]:
    """A figure of the medians of paired rounds, and the ends of its 95 % interval (bootstrap over the rounds)."""
    chance = random.Random(1)
    rounds = range(len(ones))
    found = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(rounds, k=len(ones))
        found.append(figure(median([ones[one] for one in drawn]), median([others[one] for one in drawn])))
    found.sort()
    low, high = found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES) - 1]
    return figure(median(ones), median(others)), low, high


def ratio(one: float, other: float) -> float:
    """How many times the other."""
    return one / other if other else 0.0
