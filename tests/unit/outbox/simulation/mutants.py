"""Relays with one mistake each. A property test that passes one of them proves nothing of the right one."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from agent.outbox.ahead import Ahead, Made
from agent.outbox.cursor import Cursor, Place, Poll, Walk
from agent.outbox.delivery import Delivery
from agent.outbox.leases import Taken
from agent.outbox.reader import Page
from agent.outbox.snapshot import Snapshot
from tests.unit.outbox.simulation.relay import Parts, Rows, Table, page


class TargetForgotten(Table):
    """Saves snapshot and position only: who goes on takes the tick up to the present for the one that was
    half read."""

    def claim(self, owner: str, buckets: Collection[int]) -> Taken:
        taken = super().claim(owner, buckets)
        now = self.database.snapshot()
        places = {
            bucket: each if each.target is None else replace(each, target=now)
            for bucket, each in taken.places.items()
        }
        return replace(taken, places=places)


class PageMinimum(Rows):
    """Takes the lowest number of the page that did not fit for the lowest of the tick; a page has no order."""

    async def floor(self, base: Snapshot) -> int:
        late = [each for each in self.database.rows if not base.sees(each.xid)]
        some = sorted(late, key=lambda each: (each.xid, each.id), reverse=True)[: self.size + 1]
        await self.steps.step()
        return min((each.id for each in some), default=1) - 1


class HighestNumber(Rows):
    """Reads what has a higher number than all before: what was numbered before and committed later is lost."""

    last = 0

    async def poll(self, poll: Poll) -> Page:
        whole = await super().poll(poll)
        rows = [each for each in whole.rows if each["id"] > self.last]
        self.last = max([self.last, *(each["id"] for each in whole.rows)])
        return replace(whole, rows=rows)


class OldestRunning(Rows):
    """Takes all below the oldest running transaction for seen, in the order in which it shows."""

    async def poll(self, poll: Poll) -> Page:
        await self.steps.step()
        now = self.database.snapshot()
        seen = Snapshot(now.xmin, now.xmin)
        if seen.age < poll.base.age:
            return Page([], poll.base, True, 0)
        rows = [
            each
            for each in self.database.rows
            if each.bucket in poll.buckets and seen.sees(each.xid) and not poll.base.sees(each.xid)
        ]
        if len(rows) > self.size:
            return Page([], seen, False, self.database.inserted)
        return page(rows, seen, True, self.database.inserted)


class Ungated(Rows):
    """Publishes what a crash may still take back."""

    async def gate(self, wal: int) -> None:
        await self.steps.step()


class Unfenced(Table):
    """Lets a former owner save, and drop what the present one still walks."""

    def save(self, epochs: Mapping[int, int], places: Mapping[int, Place]) -> frozenset[int]:
        self.places.update({bucket: Place(self.database.snapshot()) for bucket in places})
        self.database.save()
        return frozenset()


class Hasty(Cursor):
    """Goes on behind the page whatever became of it."""

    def walked(self, walk: Walk, last: int | None, unfinished: Mapping[int, int]) -> dict[int, Place]:
        return super().walked(walk, last, {})


class WholeTick(Cursor):
    """Takes the tick for done though some of it has no answer."""

    def polled(self, poll: Poll, seen: Snapshot, unfinished: Mapping[int, int]) -> dict[int, Place]:
        return super().polled(poll, seen, {})


class Leader(Cursor):
    """Walks from where the foremost bucket of a group stands."""

    def walks(self, without: Collection[int] = (), stopped: Mapping[int, int] | None = None) -> list[Walk]:
        return [
            replace(walk, after=max(self.places[bucket].pos for bucket in walk.buckets))
            for walk in super().walks(without, stopped or {})
        ]


class Crowded(Delivery):
    """Two messages of a key in flight."""

    def start(self) -> list[int]:
        numbers = [number for number, event in enumerate(self.events) if self._goes(event)]
        self._first.clear()
        self._flying.update(numbers)
        return numbers

    def acknowledge(self, number: int) -> int | None:
        self._flying.discard(number)
        self._open.discard(number)
        return None


class Forgiving(Delivery):
    """Takes a refused message for done."""

    def refuse(self, number: int, reason: str, *, own: bool = True) -> None:
        self.acknowledge(number)

    def unfinished(self) -> dict[int, int]:
        lowest: dict[int, int] = {}
        for number in self._open:
            event = self.events[number]
            lowest[event.bucket] = min(event.row, lowest.get(event.bucket, event.row))
        return lowest


class Optimist(Delivery):
    """Saves what was sent, not what was answered."""

    def unfinished(self) -> dict[int, int]:
        lowest: dict[int, int] = dict(self._bad)
        for number in self._open - self._flying:
            event = self.events[number]
            lowest[event.bucket] = min(event.row, lowest.get(event.bucket, event.row))
        return lowest


class Stubborn(Ahead):
    """Takes the page that was read ahead for that of whatever walk of the same buckets comes next."""

    async def walk(self, walk: Walk) -> tuple[Page, Made]:
        if self._kept is not None and self._kept[0].buckets == walk.buckets:
            self._kept = (walk, self._reader.largest, *self._kept[2:])
        return await super().walk(walk)


@dataclass(frozen=True)
class Mutant:
    """One wrong relay."""

    parts: Parts
    delivery: type[Delivery] = Delivery
    ahead: type[Ahead] = Ahead


MUTANTS: Mapping[str, Mutant] = {
    "the target is not stored": Mutant(Parts(table=TargetForgotten)),
    "the position begins at the page's minimum": Mutant(Parts(rows=PageMinimum)),
    "reads numbers above the last": Mutant(Parts(rows=HighestNumber)),
    "reads below the oldest running transaction": Mutant(Parts(rows=OldestRunning)),
    "no flush gate": Mutant(Parts(rows=Ungated)),
    "saves without a fence what is not acknowledged": Mutant(Parts(table=Unfenced)),
    "a walk goes on behind what has no answer": Mutant(Parts(cursor=Hasty)),
    "a tick ends though some has no answer": Mutant(Parts(cursor=WholeTick)),
    "walks from the foremost bucket": Mutant(Parts(cursor=Leader)),
    "two of a key in flight": Mutant(Parts(), Crowded),
    "what is refused is done": Mutant(Parts(), Forgiving),
    "what is sent is done": Mutant(Parts(), Optimist),
    "a page that was read ahead is used for another walk": Mutant(Parts(), ahead=Stubborn),
}


def names() -> Iterable[str]:
    """Each mistake in words."""
    return MUTANTS
