"""How far each feed of the outbox lagged behind, over the last hour, in bounded memory."""

from collections import deque
from collections.abc import Mapping

HOUR = 3600.0
"""Seconds that are kept."""
SLOT = 20.0
"""Seconds of one point, which holds the worst of them."""
FEEDS = 20
"""Feeds of which the history is kept; a service has one or a few."""

Points = tuple[tuple[float, float], ...]
"""(seconds since the epoch, seconds of lag), oldest first; where another agent relayed the feed there is none."""


class Lags:
    """Takes in what the relay says and gives it back as points."""

    def __init__(self) -> None:
        self._points: dict[str, deque[tuple[float, float]]] = {}

    def add(self, now: float, lags: Mapping[str, float]) -> None:
        """The lag of each feed that this agent relays now."""
        slot = now - now % SLOT
        for feed, lag in lags.items():
            if feed not in self._points and len(self._points) >= FEEDS:
                continue
            points = self._points.setdefault(feed, deque(maxlen=int(HOUR / SLOT)))
            if points and points[-1][0] == slot:
                points[-1] = (slot, max(points[-1][1], lag))
            else:
                points.append((slot, lag))

    def read(self, now: float) -> dict[str, Points]:
        """The last hour by feed."""
        return {
            feed: tuple((at, round(lag, 3)) for at, lag in points if at > now - HOUR)
            for feed, points in self._points.items()
        }
