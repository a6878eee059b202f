"""Growing delays with jitter, for loops that never give up."""

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from ``initial`` to ``maximum`` seconds, each spread over its upper half.

    ``reset`` after a success, so that the next failure starts small again.
    """

    def __init__(
        self, initial: float, maximum: float, spread: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._initial = initial
        self._maximum = maximum
        self._spread = spread
        self._next = initial

    def next(self, at_least: float | None = None) -> float:
        """The next delay in seconds; never below ``at_least`` (what the other side asked for)."""
        delay = self._spread(self._next / 2, self._next)
        self._next = min(self._next * 2, self._maximum)
        return max(delay, at_least or 0.0)

    def lasted(self, seconds: float) -> None:
        """What was tried went well for so long until it failed: longer than the longest delay is a success."""
        if seconds > self._maximum:
            self.reset()

    def reset(self) -> None:
        """Start again from ``initial``."""
        self._next = self._initial
