"""How often something may happen."""

import time
from collections.abc import Callable


class Pace:
    """Turns: so many at once after a rest, then so many a second.

    Source: the generic cell rate algorithm of ITU-T I.371, which needs one number and no timer.
    """

    def __init__(self, burst: int, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``rate`` in turns a second."""
        self._between = 1.0 / rate
        self._slack = (burst - 1) * self._between
        self._due = 0.0
        """When the next turn would be if they were taken evenly, in seconds of the clock."""
        self._clock = clock

    def wait(self) -> float:
        """Take a turn; the seconds to wait before it."""
        now = self._clock()
        self._due = max(self._due, now)
        pause = max(self._due - now - self._slack, 0.0)
        self._due += self._between
        return pause
