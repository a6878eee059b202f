"""Buckets that stand still behind a refused event. Pure; they are tried again by themselves, ever more
slowly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.outbox.cursor import Place

FIRST = 1.0
LAST = 60.0


@dataclass(frozen=True)
class Stop:
    """One bucket that stands still."""

    row: int
    """The refused row's number."""
    reason: str
    since: float
    until: float
    """When it is tried again, by the same clock."""
    delay: float


class Stops:
    """All stopped buckets of a feed. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.all: dict[int, Stop] = {}

    def resting(self) -> frozenset[int]:
        """Buckets that are not read now."""
        now = self._clock()
        return frozenset(bucket for bucket, stop in self.all.items() if now < stop.until)

    def settle(
        self,
        reasons: Mapping[int, str],
        unfinished: Mapping[int, int],
        places: Mapping[int, Place],
        delays: Mapping[int, float] = MappingProxyType({}),
    ) -> dict[int, Stop]:
        """Take in a page's outcome and the places after it; the buckets that were stopped by it anew. ``delays`` are
        the seconds that the broker asked to wait for."""
        fresh = {}
        for bucket, reason in reasons.items():
            before = self.all.get(bucket)
            again = before is not None and before.row == unfinished[bucket]
            delay = min(before.delay * 2, LAST) if again and before is not None else FIRST
            since = before.since if again and before is not None else self._clock()
            until = self._clock() + max(delay, min(delays.get(bucket, 0.0), LAST))
            self.all[bucket] = Stop(unfinished[bucket], reason, since, until, delay)
            if not again:
                fresh[bucket] = self.all[bucket]
        for bucket, place in places.items():
            stop = self.all.get(bucket)
            if stop is not None and bucket not in reasons and (place.target is None or place.pos >= stop.row):
                del self.all[bucket]
        return fresh
