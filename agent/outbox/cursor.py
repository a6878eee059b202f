"""Where a relay stands in a feed: the state machine of each bucket. Pure decisions; ``reader`` runs the
queries.

Invariant of a bucket: every row visible in ``base``, and every row of the tick with ``id <= pos``, is
acknowledged. The tick is what ``target`` sees and ``base`` does not. The target is part of the state
because half a tick without it can't be told from a whole one: the rest would be lost.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from agent.outbox.snapshot import Snapshot

BUCKETS = 64
"""Into how many buckets a feed's keys fall; a bucket is what is owned, stopped and saved."""


@dataclass(frozen=True)
class Place:
    """One bucket's position, as it is saved."""

    base: Snapshot
    target: Snapshot | None = None
    """None: between two ticks."""
    pos: int = 0


@dataclass(frozen=True)
class Poll:
    """Read what became visible since ``base``, and which snapshot saw it."""

    buckets: frozenset[int]
    base: Snapshot


@dataclass(frozen=True)
class Walk:
    """Read the next page of a fixed tick, in order of id."""

    buckets: frozenset[int]
    base: Snapshot
    target: Snapshot
    after: int
    """Only ids above it; buckets that stand further on skip what they had."""
    until: int | None = None
    """Only ids up to it; None: all of the tick."""


class Cursor:
    """The places of all buckets that one relay owns, and how they move on."""

    def __init__(self, places: Mapping[int, Place]) -> None:
        self.places = dict(places)

    def walks(
        self, without: Collection[int] = (), stopped: Mapping[int, int] = MappingProxyType({})
    ) -> list[Walk]:
        """One walk for each group of buckets that are within the same tick, and then one for those of ``stopped`` that
        the same row stopped, up to that row: what is behind it is not sent again at each try.

        ``without`` are buckets that are not to be read now.
        """
        groups: dict[tuple[Snapshot, Snapshot, int | None], set[int]] = {}
        for bucket, place in self.places.items():
            if place.target is not None and bucket not in without:
                groups.setdefault((place.base, place.target, stopped.get(bucket)), set()).add(bucket)
        found = [
            Walk(frozenset(buckets), base, target, min(self.places[bucket].pos for bucket in buckets), until)
            for (base, target, until), buckets in groups.items()
        ]
        return sorted(found, key=lambda walk: walk.until is not None)

    def poll(self, without: Collection[int] = ()) -> Poll | None:
        """The poll of the buckets between two ticks that stand at the newest base; None when there are
        none."""
        bases = self._waiting(without)
        if not bases:
            return None
        newest = max({*bases.values()}, key=lambda base: base.age)
        return Poll(frozenset(bucket for bucket, base in bases.items() if base == newest), newest)

    def stragglers(self, without: Collection[int] = ()) -> list[Walk]:
        """Buckets between two ticks at an older base than the newest, each group as a tick towards that
        newest base.

        Without this, buckets that were stopped once would be polled apart from the others for ever.
        ``after`` is unknown yet.
        """
        groups: dict[Snapshot, set[int]] = {}
        for bucket, base in self._waiting(without).items():
            groups.setdefault(base, set()).add(bucket)
        newest = max(groups, key=lambda base: base.age, default=None)
        return [
            Walk(frozenset(buckets), base, newest, 0)
            for base, buckets in groups.items()
            if newest is not None and base != newest
        ]

    def _waiting(self, without: Collection[int]) -> dict[int, Snapshot]:
        return {
            bucket: place.base
            for bucket, place in self.places.items()
            if place.target is None and bucket not in without
        }

    def start(self, buckets: Collection[int], base: Snapshot, target: Snapshot, floor: int) -> None:
        """Fix a tick that is to be walked. ``floor`` is below every id of the whole tick, never only of a
        page of it."""
        for bucket in buckets:
            self.places[bucket] = Place(base, target, floor)

    def polled(self, poll: Poll, seen: Snapshot, unfinished: Mapping[int, int]) -> dict[int, Place]:
        """The places after the whole tick up to ``seen`` was read and published.

        ``unfinished`` holds the lowest id of each bucket that is not acknowledged. Its bucket stays within
        the tick.
        """
        done = Place(seen)
        return {
            bucket: Place(poll.base, seen, unfinished[bucket] - 1) if bucket in unfinished else done
            for bucket in poll.buckets
        }

    def walked(self, walk: Walk, last: int | None, unfinished: Mapping[int, int]) -> dict[int, Place]:
        """The places after a page was published. ``last`` is how far the page reached, None when it was the
        tick's last page."""
        places = {}
        for bucket in walk.buckets:
            place = self.places[bucket]
            if bucket in unfinished:
                places[bucket] = replace(place, pos=max(place.pos, unfinished[bucket] - 1))
            elif last is None:
                places[bucket] = Place(walk.target)
            else:
                places[bucket] = replace(place, pos=max(place.pos, last))
        return places

    def move(self, places: Mapping[int, Place]) -> None:
        """Take the places as the present ones."""
        self.places.update(places)

    def wants(self, bucket: int, row: int) -> bool:
        """Whether a row of a walk is still to be published."""
        return row > self.places[bucket].pos
