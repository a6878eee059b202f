"""Calls that are due later, run by the loop."""

import heapq
import time
from collections.abc import Callable


class Timer:
    """One call that is due at ``due`` seconds of its clock, unless it is cancelled."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never call; harmless when it was called already."""
        self.call = None

    def __lt__(self, other: "Timer") -> bool:
        return self.due < other.due


class Timers:
    """All that is due later. ``clock`` returns seconds and never goes backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._heap: list[Timer] = []

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call ``call`` in ``seconds``."""
        timer = Timer(self.now() + seconds, call)
        heapq.heappush(self._heap, timer)
        return timer

    def delay(self) -> float | None:
        """Seconds until the next call is due, never below 0; None when there is none."""
        while self._heap and self._heap[0].call is None:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0].due - self.now()) if self._heap else None

    def run_due(self) -> None:
        """Make all calls that are due, earliest first."""
        while self.delay() == 0.0:
            call = heapq.heappop(self._heap).call
            if call is not None:
                call()
