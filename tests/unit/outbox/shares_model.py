"""Relays that share a feed in virtual time: the real decisions over a table that behaves as ``leases`` makes it.

Each relay has a clock of its own. It may die, stand still at any point, also between what it saw and what it does then,
its beats may be late, and answers get lost.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from agent.outbox import shares
from agent.outbox.leases import MARGIN
from agent.outbox.session import LOOKS
from agent.outbox.shares import Living, View, Watch

BUCKETS = 64
LEASE = 10.0
IDLE = 5.0
"""As in ``leases``, in seconds."""


@dataclass
class Table:
    """What the database holds, and what must never be seen in it."""

    beats: dict[str, int] = field(default_factory=dict)
    owners: dict[int, str | None] = field(default_factory=lambda: dict.fromkeys(range(BUCKETS), None))
    epochs: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(BUCKETS), 0))
    taken: dict[tuple[int, int], str] = field(default_factory=dict)
    lock: tuple["Relay", float] | None = None
    """Who changes owners, and until when at the most."""
    moves: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def view(self) -> View:
        return View(dict(self.beats), dict(self.owners), dict(self.epochs))

    def take(self, owner: str, bucket: int) -> int:
        self.epochs[bucket] += 1
        self.owners[bucket] = owner
        self.moves += 1
        if (bucket, self.epochs[bucket]) in self.taken:
            self.problems.append(f"bucket {bucket} had epoch {self.epochs[bucket]} before")
        self.taken[bucket, self.epochs[bucket]] = owner
        return self.epochs[bucket]

    def give(self, bucket: int) -> None:
        self.epochs[bucket] += 1
        self.owners[bucket] = None


class Relay:
    """One process. Its ``turns`` end at each moment at which it may stand still."""

    def __init__(self, name: str, world: "World", skew: float) -> None:
        self.name = name
        self.up = True
        self.until = 0.0
        """It stands still until then."""
        self.sent = -1e9
        self.member = False
        self.epochs: dict[int, int] = {}
        self._world = world
        self._table = world.table
        self.watch = Watch(LEASE, lambda: world.now + skew, lambda _: False)
        self._clock = lambda: world.now + skew
        self._life = self._live()
        self.wakes = world.now

    @property
    def leased(self) -> bool:
        """Whether it thinks that it may publish."""
        return self.up and self.member and self._world.now - self.sent < LEASE * (1 - MARGIN)

    def step(self) -> None:
        """Go on to the next moment."""
        self.wakes = self._world.now + next(self._life)

    def stop(self) -> None:
        """Release in order."""
        self.up = False
        for bucket, owner in self._table.owners.items():
            if owner == self.name:
                self._table.give(bucket)
        self._table.beats.pop(self.name, None)

    def _live(self) -> Iterator[float]:
        while True:
            if not self.member:
                yield from self._stand_by()
            else:
                yield from self._work()

    def _stand_by(self) -> Iterator[float]:
        asked = self._clock()
        view = self._table.view
        yield self._world.hold()
        living = self.watch.look(view, asked)
        if shares.has_room(self.name, living, self._world.most):
            yield self._world.hold()
            yield from self._changing(self._join)
        if not self.member:
            yield self._world.chance.uniform(0.6, 1) * LEASE / 2

    def _changing(self, change: Callable[[View, Living], None]) -> Iterator[float]:
        """One change of owners: a transaction in which it may stand still, but not for long, and others wait."""
        table, now = self._table, self._world.now
        if table.lock is not None and table.lock[0].up and now < table.lock[1]:
            return
        table.lock = (self, now + IDLE)
        asked = self._clock()
        view = table.view
        held = self._world.hold()
        yield min(held, IDLE)
        table.lock = None
        if held >= IDLE:
            # The server ended it; the process itself may stand still for longer.
            yield held - IDLE
            return
        living = self.watch.look(view, asked)
        revived = set()
        for name in view.beats.keys() - living.alive - {self.name}:
            if table.beats.get(name) == view.beats[name]:
                del table.beats[name]
            else:
                revived.add(name)
        self._check(view, living.alive | revived)
        change(view, Living(living.alive | revived, living.settled, living.forgotten))

    def _check(self, view: View, alive: Collection[str]) -> None:
        for bucket, owner in view.owners.items():
            other = self._world.relays.get(owner or "")
            if owner not in alive and other is not None and other is not self and other.leased:
                self._table.problems.append(
                    f"{self.name} takes {owner} for dead, who has {bucket} and a lease"
                )

    def _join(self, view: View, living: Living) -> None:
        if not shares.has_room(self.name, living, self._world.most):
            return
        self._table.beats[self.name] = self._world.chance.getrandbits(40)
        self.sent, self.member = self._world.now, True
        self._take(shares.exchange(self.name, view, {}, living, ()).take, view, living)

    def _take(self, buckets: tuple[int, ...], view: View, living: Living) -> None:
        # The answer to a commit may get lost with the connection: then nobody knows of it but the table.
        deaf = self._world.chance.random() < self._world.slow / 2
        gone = {*view.owners.values()} - living.alive | {None, self.name}
        for bucket in buckets:
            if self._table.owners[bucket] not in gone:
                continue
            epoch = self._table.take(self.name, bucket)
            if not deaf:
                self.epochs[bucket] = epoch

    def _work(self) -> Iterator[float]:
        yield self._world.chance.uniform(0.6, 1) * LEASE / LOOKS
        sent = self._world.now
        yield self._world.hold()
        if self.name not in self._table.beats:
            self._lose_all()
            return
        self._table.beats[self.name] += 1
        yield self._world.hold()
        self.sent = sent
        asked = self._clock()
        view = self._table.view
        yield self._world.hold()
        living = self.watch.look(view, asked)
        for bucket in shares.lost(self.epochs, view):
            del self.epochs[bucket]
        if not shares.exchange(self.name, view, self.epochs, living, list(self.epochs)).is_none:
            yield self._world.hold()
            yield from self._changing(self._exchange)

    def _exchange(self, view: View, living: Living) -> None:
        if self.name not in view.beats:
            self._lose_all()
            return
        wish = shares.exchange(self.name, view, self.epochs, living, list(self.epochs))
        self._take(wish.take, view, living)
        if living.forgotten.intersection(wish.take):
            self.watch.doubt()
        for bucket in wish.give:
            if self._table.epochs[bucket] == self.epochs.pop(bucket):
                self._table.give(bucket)

    def _lose_all(self) -> None:
        self.member, self.epochs = False, {}


class World:
    """Relays and what befalls them."""

    def __init__(self, seed: int, most: int, slow: float = 0.0) -> None:
        """``slow``: how likely a relay stands still at each moment."""
        self.now = 0.0
        self.most = most
        self.slow = slow
        self.chance = random.Random(seed)
        self.table = Table()
        self.relays: dict[str, Relay] = {}

    def hold(self) -> float:
        """How long a moment takes."""
        return (
            self.chance.uniform(0, 25) if self.chance.random() < self.slow else self.chance.uniform(0, 0.05)
        )

    def start(self) -> Relay:
        relay = Relay(f"r{len(self.relays)}", self, self.chance.uniform(0, 1e6))
        self.relays[relay.name] = relay
        return relay

    @property
    def up(self) -> list[Relay]:
        return [each for each in self.relays.values() if each.up]

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            each = min(self.up, key=lambda each: max(each.wakes, each.until), default=None)
            if each is None or max(each.wakes, each.until) > end:
                break
            self.now = max(self.now, each.wakes, each.until)
            each.step()
        self.now = end

    @property
    def counts(self) -> Mapping[str, int]:
        """How many buckets each relay that is up works on; those at an epoch that is not theirs count for nothing."""
        return {
            each.name: sum(
                self.table.owners[bucket] == each.name and self.table.epochs[bucket] == epoch
                for bucket, epoch in each.epochs.items()
            )
            for each in self.up
        }

    @property
    def unfair(self) -> list[str]:
        """What is not as it is to be once nothing happens any more."""
        counts = sorted((count for count in self.counts.values() if count), reverse=True)
        members = min(self.most, len(self.up))
        fair = sorted((BUCKETS // members + (n < BUCKETS % members) for n in range(members)), reverse=True)
        return [] if counts == fair else [f"{counts} instead of {fair}"]
