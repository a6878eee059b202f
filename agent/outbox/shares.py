"""Which buckets of a feed a relay should have, and who is alive. Pure: no clock of the database or of another host is
ever compared.

A relay is a member of a feed while its row is there and its beat moves; so many may be members as are set, the others
stand by. The members share the buckets: each has as many as any other, or one more.

* What nobody has, or somebody who is gone, is taken at once, up to a fair share; one who is alone takes all.
* Buckets are given up only for a member that lacks some, and that was seen alive for a lease's length: one that starts
  and dies again and again gets none, and costs none. No more are given up than are lacked.
* What was given up and is not taken for a lease's length is taken by whoever sees it, and the others have to show anew
  that they are alive before they are given any.

These rules decide; that no two have a bucket at one epoch is kept by the statements of ``leases``.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A feed at one moment, as the database shows it."""

    beats: Mapping[str, int]
    """Of all members."""
    owners: Mapping[int, str | None]
    """Of all buckets; None: nobody."""
    epochs: Mapping[int, int]


@dataclass(frozen=True)
class Living:
    """What a relay makes of a view."""

    alive: frozenset[str]
    """Members that may not be taken for dead; the relay itself too where it is a member."""
    settled: frozenset[str] = frozenset()
    """Those of them that were seen alive for a lease's length, and lately."""
    forgotten: frozenset[int] = frozenset()
    """Buckets that nobody alive has had for a lease's length."""


@dataclass(frozen=True)
class Exchange:
    """What a relay should do now; never both."""

    take: tuple[int, ...] = ()
    give: tuple[int, ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether all is as it should be."""
        return not self.take and not self.give


@dataclass
class _Seen:
    beat: int
    moved: float
    first: float


class Watch:
    """What a relay remembers of the others. ``clock`` returns seconds and goes on while the host sleeps."""

    def __init__(self, lease: float, clock: Callable[[], float], former: Callable[[str], bool]) -> None:
        """``former`` tells a member that is surely dead, such as this agent's own former process."""
        self._lease = lease
        self._clock = clock
        self._former = former
        self._seen: dict[str, _Seen] = {}
        self._free: dict[int, float] = {}

    def is_former(self, name: str) -> bool:
        """Whether the member is surely dead."""
        return self._former(name)

    def look(self, view: View, asked: float) -> Living:
        """Judge a view that was asked for at the moment ``asked`` of the clock and has just come.

        A beat is as old as the first answer that held it, and as new as the last question: a relay that stood still
        between question and answer must not take the others for dead.
        """
        now = self._clock()
        self._seen = {name: seen for name, seen in self._seen.items() if name in view.beats}
        for name, beat in view.beats.items():
            seen = self._seen.setdefault(name, _Seen(beat, now, now))
            if seen.beat != beat:
                seen.beat, seen.moved = beat, now
        alive = frozenset(
            name
            for name, seen in self._seen.items()
            if not self._former(name) and asked - seen.moved < self._lease
        )
        free = [bucket for bucket, owner in view.owners.items() if owner not in alive]
        self._free = {bucket: self._free.get(bucket, now) for bucket in free}
        return Living(
            alive,
            frozenset(name for name in alive if self._has_settled(self._seen[name], asked)),
            frozenset(bucket for bucket, since in self._free.items() if asked - since >= self._lease),
        )

    def _has_settled(self, seen: _Seen, asked: float) -> bool:
        # Who died just now would keep what it is given from everybody for a lease.
        return seen.moved - seen.first >= self._lease and asked - seen.moved < self._lease / 2

    def doubt(self) -> None:
        """Buckets that were given up were not taken: all members have to show anew that they are alive."""
        now = self._clock()
        for seen in self._seen.values():
            seen.first = now


def has_room(me: str, living: Living, most: int) -> bool:
    """Whether ``me`` may be a member where ``most`` may be."""
    return len(living.alive - {me}) < most


def lost(epochs: Mapping[int, int], view: View) -> frozenset[int]:
    """Which of the buckets that were claimed at these epochs belong to a later one. A view may be older than a claim,
    so a lower epoch says nothing."""
    return frozenset(bucket for bucket, epoch in epochs.items() if view.epochs[bucket] > epoch)


def exchange(
    me: str, view: View, epochs: Mapping[int, int], living: Living, movable: Collection[int]
) -> Exchange:
    """What ``me`` should take or give up.

    ``epochs`` are those at which it works on buckets; what is only written down as its own is taken anew, as after an
    answer that got lost. ``movable`` are those of them that may be given up now.
    """
    others = living.alive - {me}
    floor, extra = divmod(len(view.owners), len(others) + 1)
    owned = [bucket for bucket, owner in view.owners.items() if owner == me]
    mine = {bucket for bucket in owned if epochs.get(bucket) == view.epochs[bucket]}
    strays = [bucket for bucket in owned if bucket not in mine]
    free = [bucket for bucket, owner in view.owners.items() if owner != me and owner not in others]
    counts = Counter(dict.fromkeys(others, 0))
    counts.update(owner for owner in view.owners.values() if owner in others)
    # So many may have one bucket more than the others.
    limit = floor + (sum(count > floor for count in counts.values()) < extra)
    room = max(0, limit - len(owned))
    late = [bucket for bucket in free[room:] if bucket in living.forgotten]
    if take := {*strays, *free[:room], *late}:
        return Exchange(take=tuple(sorted(take)))
    settled = [counts[name] for name in others & living.settled]
    number = _surplus(len(mine), len(free), floor, extra, settled)
    return Exchange(give=tuple(sorted(mine.intersection(movable))[-number:]) if number > 0 else ())


def _surplus(mine: int, free: int, floor: int, extra: int, others: Collection[int]) -> int:
    """How many buckets are more than a fair share, and lacked by others: never more than they lack."""
    most = floor + (extra > 0)
    lack = sum(max(0, floor - count) for count in others)
    if lack:
        return min(lack - free, mine - floor)
    return min(mine - most, sum(max(0, most - count) for count in others) - free)
