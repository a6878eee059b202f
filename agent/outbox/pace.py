"""How fast a feed is read: the rests between two turns, and what makes them longer. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass

BUSY, IDLE = 0.005, 0.25
"""Seconds from the begin of a poll to the next just after work, and between two at rest."""

FIRST = 1000.0
"""Rows a second at the most when a broker that was away is back. It doubles every second: a broker that has just
started, or a cluster that has just found a leader, does not meet the whole backlog at once."""

LAST = 64000.0
"""Rows a second from which on there is no limit any more."""

SHARE = 20
"""While there is a limit a page holds at the most one part in so many of a second's rows, so that they come evenly."""

SLOWED, SLOWEST = 0.05, 2.0
"""Seconds of rest after a page when the database begins to answer late, and at the most."""


@dataclass(frozen=True)
class Done:
    """What a turn came to."""

    began: float
    """When, by the pace's clock."""
    worked: bool
    """There was something to do."""
    has_more: bool
    """There is more to be read at once."""
    rows: int
    """Events that were published."""
    late: float
    """Seconds that the database took longer to answer than when it was quickest."""


class Pace:
    """Of one ownership of a feed. ``clock`` returns seconds."""

    def __init__(
        self, clock: Callable[[], float], page: int, *, drain_rate: float, max_latency: float
    ) -> None:
        """``page``: the most rows that are read at once. ``drain_rate`` in rows a second, ``max_latency`` in seconds;
        each 0: no limit."""
        self._clock = clock
        self._page = page
        self._most = drain_rate or math.inf
        self._max_latency = max_latency
        self._was_lost = False
        self._back: float | None = None
        self._due = 0.0
        self._idle = BUSY
        self._slowed = 0.0

    def lost(self) -> None:
        """The broker is away."""
        self._was_lost = True

    def linked(self) -> None:
        """There is a link: full speed at once, but for a broker that was away."""
        self._idle = BUSY
        if self._was_lost:
            self._was_lost, self._back = False, self._clock()

    @property
    def is_slowed(self) -> bool:
        """Whether the feed waits for the database's sake."""
        return self._slowed > 0

    @property
    def limit(self) -> float:
        """Rows a second now; infinite without a limit."""
        if self._back is None:
            return self._most
        grown = FIRST * 2 ** min(max(self._clock() - self._back, 0.0), 10.0)
        if grown >= LAST:
            self._back = None
            return self._most
        return min(grown, self._most)

    @property
    def size(self) -> int:
        """Rows that may be read at once now."""
        return int(min(self._page, max(self.limit / SHARE, 10)))

    def rest(self, done: Done) -> float:
        """Seconds until the next turn may begin."""
        now = self._clock()
        pause = 0.0
        if not done.has_more:
            self._idle = BUSY if done.worked else min(self._idle * 2, IDLE)
            pause = max(self._idle - (now - done.began), BUSY / 5) if done.worked else self._idle
        if not math.isinf(self.limit):
            self._due = max(self._due, done.began) + done.rows / self.limit
            pause = max(pause, self._due - now)
        return max(pause, self._for_the_database(done))

    def _for_the_database(self, done: Done) -> float:
        if not self._max_latency or not (done.worked or done.has_more):
            return 0.0
        if done.late > self._max_latency:
            self._slowed = min(max(self._slowed * 2, SLOWED), SLOWEST)
        else:
            self._slowed = self._slowed / 2 if self._slowed > SLOWED else 0.0
        return self._slowed
