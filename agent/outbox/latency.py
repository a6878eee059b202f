"""How long the database takes to answer a question that asks for next to nothing. Pure."""

import math
import time
from collections.abc import Callable

OLD = 0.5
"""Seconds after which a measurement says nothing of now."""

RISING, FALLING = 0.3, 0.5
"""What a measurement counts against all before it: a single late answer is no trouble, and a quick one soon is the end
of it."""


class Latency:
    """Measured times, smoothed. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = -math.inf
        self._quickest = math.inf
        self.seconds = 0.0
        """Smoothed."""

    @property
    def is_old(self) -> bool:
        """Whether it is time to measure again."""
        return self._clock() - self._at >= OLD

    def note(self, seconds: float) -> None:
        """An answer took so long."""
        weight = RISING if seconds > self.seconds else FALLING
        self.seconds += (seconds - self.seconds) * (1.0 if math.isinf(self._quickest) else weight)
        self._quickest = min(self._quickest, seconds)
        self._at = self._clock()

    @property
    def late(self) -> float:
        """Seconds above the quickest answer: what is due to the distance alone does not count."""
        return max(self.seconds - self._quickest, 0.0) if self.seconds else 0.0
