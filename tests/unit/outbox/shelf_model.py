"""A relay's real decisions over a model of what surrounds them: PostgreSQL, the broker, and a process that may end at
any await."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from prometheus_client import CollectorRegistry

from agent.outbox.courier import AwayError, Courier
from agent.outbox.cursor import Cursor, Place, Poll, Walk
from agent.outbox.delivery import Aside, Policy
from agent.outbox.events import UNREADABLE, Event
from agent.outbox.leases import Lease, LostError
from agent.outbox.metrics import Metrics
from agent.outbox.parked import keys
from agent.outbox.parked.keys import Known, Limits
from agent.outbox.parked.ledger import Due, HeldRow, Outcome, Tally
from agent.outbox.parked.replay import Replay
from agent.outbox.parked.shelf import Shelf
from agent.outbox.reader import Page
from agent.outbox.sifting import Unread
from agent.outbox.snapshot import Snapshot
from agent.outbox.suspicion import TRUSTING
from agent.outbox.turns import Turns
from tests.unit.outbox.test_cursor import BUCKETS, NOTHING, Database
from tests.unit.outbox.test_events import maker, row


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    """What is durable."""

    epochs: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(BUCKETS), 0))
    places: dict[int, Place] = field(default_factory=lambda: dict.fromkeys(range(BUCKETS), Place(NOTHING)))
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[HeldRow] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)
    seq: int = 0

    def covered(self, database: Database) -> set[int]:
        """The rows that the saved places know as done: what cleanup may delete, but for those that are held."""
        found = set()
        for number, xid, key in database.rows:
            place = self.places[key % BUCKETS]
            late = place.target is not None and place.target.sees(xid) and number <= place.pos
            if xid in database.committed and (place.base.sees(xid) or late):
                found.add(number)
        return found


@dataclass
class World:
    """Everything that outlives a process."""

    database: Database
    chance: random.Random
    risk: float
    """How likely the process ends at each await."""
    policy: Policy
    limits: Limits
    page: int
    store: Store = field(default_factory=Store)
    clock: Clock = field(default_factory=Clock)
    arrived: list[tuple[str, int]] = field(default_factory=list)
    healed: bool = False
    odd: float = 0.0
    """The part of the rows whose key can't be read at first."""
    mended: set[int] = field(default_factory=set)

    def broken(self, number: int) -> bool:
        """Whether the row's key can't be read now."""
        return (
            not self.healed
            and number not in self.mended
            and random.Random(f"odd {number}").random() < self.odd
        )

    def verdict(self, number: int) -> str:
        """What the broker makes of a row, the same each time until it is healed."""
        dice = random.Random(number).random()
        return "taken" if self.healed or dice > 0.3 else "refused" if dice < 0.15 else "later"


class Process:
    """One relay from its start to its end."""

    def __init__(self, world: World, buckets: Collection[int] = range(BUCKETS)) -> None:
        """It takes ``buckets`` from whoever has them."""
        self.world = world
        self.ended = asyncio.Event()
        self.epochs: dict[int, int] = {}
        metrics = Metrics(CollectorRegistry())
        shelf = Shelf(
            cast("Any", Ledger(self)), metrics, world.clock, feed="f", limits=world.limits,
            on_refused=world.policy, hold_after=10.0, suspicion=TRUSTING,
        )  # fmt: skip
        reader = cast("Any", Reader(self))
        replay = Replay(shelf, reader, maker(), world.clock, world.page, noted=Counter())
        self.turns = Turns(
            Cursor({}),
            reader,
            maker(),
            metrics,
            world.clock,
            fresh=0.0,
            shelf=shelf,
            replay=replay,
        )
        self._connect()
        self.take(buckets)

    def take(self, buckets: Collection[int]) -> None:
        """Between two turns: have these buckets from here on."""
        for bucket in buckets:
            self.world.store.epochs[bucket] += 1
            self.epochs[bucket] = self.world.store.epochs[bucket]
        self.turns.take({bucket: self.world.store.places[bucket] for bucket in buckets})

    def give(self, buckets: Collection[int]) -> list[int]:
        """Between two turns: save them and have them no more; which of them these are."""
        self._settle()
        given = [bucket for bucket in buckets if bucket in self.epochs]
        for bucket in given:
            self.world.store.places[bucket] = self.turns.places()[bucket]
            self.world.store.epochs[bucket] += 1
            del self.epochs[bucket]
        self.turns.drop(given)
        return given

    def owns(self, bucket: int) -> bool:
        """Whether nobody took it since."""
        return self.epochs.get(bucket) == self.world.store.epochs[bucket]

    def _settle(self) -> None:
        lost = [bucket for bucket in self.epochs if not self.owns(bucket)]
        for bucket in lost:
            del self.epochs[bucket]
        self.turns.drop(lost)

    def _connect(self) -> None:
        self.courier = Courier(Lease(1e12, self.world.clock, 0.0), 1e6, None, "model", self.world.clock)
        self.link = Link(self, self.courier)

    async def step(self) -> None:
        """A point at which the process may end, or another of its tasks save."""
        await asyncio.sleep(0)
        self.save()
        if self.ended.is_set() or self.world.chance.random() < self.world.risk:
            self.ended.set()
            await asyncio.Event().wait()

    def save(self, likely: float = 0.2) -> None:
        """The other task's save, of what may be saved now."""
        if self.world.chance.random() < likely and not self.ended.is_set():
            for bucket, place in self.turns.places().items():
                if self.owns(bucket):
                    self.world.store.places[bucket] = place

    async def turn(self) -> bool:
        """One turn; whether the process lives on."""
        work = asyncio.create_task(self.turns.turn(self.courier, cast("Any", self.link)))
        end = asyncio.create_task(self.ended.wait())
        await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if self.ended.is_set():
            work.cancel()
        (result, _) = await asyncio.gather(work, end, return_exceptions=True)
        if isinstance(result, AwayError):
            self._connect()
        elif isinstance(result, LostError):
            # Some buckets were lost: the others are as they were.
            self._settle()
            self._connect()
            return bool(self.epochs) and not self.ended.is_set()
        elif isinstance(result, BaseException) and not self.ended.is_set():
            raise result
        return not self.ended.is_set()


class Link:
    """A broker that stores, refuses, defers, answers late, or is lost."""

    largest = 1000
    warnings = ()

    def __init__(self, process: Process, outcomes: Courier) -> None:
        self._process = process
        self._outcomes = outcomes

    def send(self, number: int, event: Event) -> None:
        process, world = self._process, self._process.world
        process.save(0.05)
        if process.ended.is_set():
            return
        dice = world.chance.random()
        if dice < world.risk / 2:
            process.ended.set()
            return
        verdict = world.verdict(event.row)
        if verdict == "taken":
            world.arrived.append((event.key or "", event.row))
        if dice < world.risk:
            process.ended.set()
        elif dice > 1 - world.risk:
            self._later(self._outcomes.lost, "cut")
        elif verdict == "taken":
            self._later(self._outcomes.acknowledged, number)
        elif verdict == "refused":
            self._later(self._outcomes.refused, number, "no")
        else:
            self._later(self._outcomes.later, number, "busy")

    def _later(self, call: Any, *arguments: Any) -> None:
        loop, hops = asyncio.get_running_loop(), self._process.world.chance.randrange(4)

        def hop(left: int) -> None:
            if left:
                loop.call_soon(hop, left - 1)
            elif not self._process.ended.is_set():
                call(*arguments)

        loop.call_soon(hop, hops)

    async def answers(self) -> bool:
        return True


class Reader:
    """The queries over the model of PostgreSQL."""

    largest = 0

    def __init__(self, process: Process) -> None:
        self._process = process
        self._database = process.world.database
        self._page = process.world.page

    @staticmethod
    def _rows(found: Collection[tuple[int, int, int]]) -> list[dict[str, Any]]:
        return [row(id=number, bucket=key % BUCKETS, key=str(key)) for number, _, key in sorted(found)]

    async def poll(self, poll: Poll) -> Page:
        await self._process.step()
        seen = self._database.snapshot()
        every = self._database.visible(range(BUCKETS), lambda xid: seen.sees(xid) and not poll.base.sees(xid))
        found = [each for each in every if each[2] % BUCKETS in poll.buckets]
        if len(found) > self._page or any(self._process.world.broken(number) for number, _, _ in every):
            return Page([], seen, False, 0)
        return Page(cast("Any", self._rows(found)), seen, True, 0)

    async def walk(self, walk: Walk) -> Page:
        await self._process.step()
        broken = self._process.world.broken
        every = [
            each
            for each in sorted(
                self._database.visible(
                    range(BUCKETS), lambda xid: walk.target.sees(xid) and not walk.base.sees(xid)
                )
            )
            if walk.after < each[0] <= (walk.until or each[0])
        ]
        if any(broken(number) for number, _, _ in every):
            some = every[: self._page]
            mine = [each for each in some if each[2] % BUCKETS in walk.buckets and not broken(each[0])]
            keyless = tuple(Unread(number, "odd") for number, _, _ in some if broken(number))
            rows = cast("Any", self._rows(mine))
            return Page(rows, None, len(some) < self._page, 0, some[-1][0], keyless)
        rows = self._rows([each for each in every if each[2] % BUCKETS in walk.buckets])
        return Page(cast("Any", rows[: self._page]), None, len(rows) < self._page, 0)

    async def named(self, ids: Sequence[int]) -> list[Any]:
        await self._process.step()
        known = {number: key for number, _, key in self._database.rows}
        return [
            {"id": number, "bucket": None, "key": None, "body": None, "size": UNREADABLE, "unreadable": "odd"}
            if self._process.world.broken(number)
            else row(id=number, bucket=known[number] % BUCKETS, key=str(known[number]))
            for number in ids
        ]

    async def floor(self, _base: Snapshot) -> int:
        await self._process.step()
        return 0

    async def gate(self, _wal: int) -> None:
        await self._process.step()


class Ledger:
    """The statements of ``HeldLedger`` over the store; each happens as a whole, before or after the process's end."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._store = process.world.store
        self._clock = process.world.clock

    async def _owned(self, buckets: Collection[int]) -> None:
        await self._process.step()
        if not all(self._process.owns(bucket) for bucket in buckets):
            raise LostError("lost")

    async def append(
        self, asides: Sequence[Aside], known: Mapping[str, Known], first_wait: float, home: int | None = None
    ) -> None:
        await self._owned({each.event.bucket for each in asides})
        there = {each.row for each in self._store.rows}
        for each in asides:
            if each.verdict == "skipped":
                self._store.skipped.add(each.event.row)
                continue
            name = keys.of(each.event)
            state = known[name].state if name in known else each.verdict
            until = self._clock() + first_wait if state == "held" else None
            self._store.keys.setdefault(
                name,
                {
                    "bucket": each.event.bucket if home is None else home,
                    "state": state,
                    "retry_at": until,
                    "attempts": 0,
                    "tries": 0,
                },
            )
            if each.event.row not in there:
                self._store.seq += 1
                self._store.rows.append(HeldRow(self._store.seq, name, each.event.row))
        await self._process.step()

    async def there(self, rows: Collection[int]) -> set[int]:
        await self._process.step()
        return {each.row for each in self._store.rows}.intersection(rows)

    async def attempt(self, buckets: Collection[int], *_: Any) -> None:
        await self._owned(buckets)

    async def known(self, buckets: Collection[int]) -> tuple[dict[str, Known], dict[str, int]]:
        await self._process.step()
        found = {
            name: Known(each["bucket"], each["state"], "")
            for name, each in self._store.keys.items()
            if each["bucket"] in buckets
        }
        return found, {name: sum(each.key == name for each in self._store.rows) for name in found}

    async def left_out(self) -> list[int]:
        await self._process.step()
        return sorted(self._store.skipped)

    async def tally(self) -> Tally:
        await self._process.step()
        states = Counter(each["state"] for each in self._store.keys.values())
        return Tally(states, len(self._store.rows), 0.0)

    async def due(self, buckets: Collection[int], *, held: bool) -> list[Due]:
        await self._process.step()
        return [
            Due(name, each["bucket"], each["state"], each["attempts"], each["tries"])
            for name, each in self._store.keys.items()
            if each["bucket"] in buckets
            and (
                each["state"] == "replaying"
                or (held and each["state"] == "held" and each["retry_at"] <= self._clock())
            )
        ]

    async def begin(self, due: Sequence[Due], size: int) -> list[HeldRow]:
        await self._owned({each.bucket for each in due})
        names = {each.id for each in due}
        for name in names:
            self._store.keys[name]["tries"] += 1
        found = [each for each in self._store.rows if each.key in names][:size]
        await self._process.step()
        return found

    async def settle(self, due: Sequence[Due], sent: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        await self._owned({each.bucket for each in due})
        self._store.rows = [each for each in self._store.rows if each.seq not in sent]
        for each in due:
            self._store.keys[each.id]["tries"] = 0
        for outcome in outcomes:
            until = None if outcome.wait is None else self._clock() + outcome.wait
            self._store.keys[outcome.id] |= {"state": outcome.state, "retry_at": until}
        await self._process.step()

    async def free(self, due: Sequence[Due]) -> list[str]:
        await self._owned({each.bucket for each in due})
        busy = {each.key for each in self._store.rows}
        freed = [each.id for each in due if each.id not in busy and each.id in self._store.keys]
        for name in freed:
            del self._store.keys[name]
        await self._process.step()
        return freed
