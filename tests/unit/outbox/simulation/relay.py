"""A relay's life around the real turns: claims, publishes, saves, and dies at any moment."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from prometheus_client import CollectorRegistry

from agent.outbox import identity, shares
from agent.outbox.courier import AwayError, Courier
from agent.outbox.cursor import Cursor, Place, Poll, Walk
from agent.outbox.holding import Holding
from agent.outbox.leases import Claim, Exchanged, Lease, LostError, Taken
from agent.outbox.metrics import Metrics
from agent.outbox.reader import Page, Reader
from agent.outbox.shares import Living, View, Watch
from agent.outbox.snapshot import Snapshot
from agent.outbox.turns import Turns
from tests.unit.outbox.simulation.broker import Broker, Link
from tests.unit.outbox.simulation.database import Database, Row
from tests.unit.outbox.test_events import maker, row

FOR_EVER = 1e9
"""A lease that never ends: the fence of epochs alone must be enough for order and for completeness."""


class KilledError(Exception):
    """The relay's process is no more."""


def broken(place: Place, bucket: int, rows: Iterable[Row], acknowledged: Collection[str]) -> list[Row]:
    """The rows that the invariant of a bucket says are acknowledged, and that are not."""
    return [
        each
        for each in rows
        if each.bucket == bucket
        and each.token not in acknowledged
        and (
            place.base.sees(each.xid)
            or (place.target is not None and place.target.sees(each.xid) and each.id <= place.pos)
        )
    ]


LEASE = 0.4
"""Of a relay as another sees it, in virtual seconds: one that is held up for long is taken for dead."""

SERVER = identity.Server("", 1, "")


class Table:
    """The saved places, fenced by epochs, and who has them; every write is a synchronous commit."""

    def __init__(self, database: Database, buckets: int) -> None:
        self.database = database
        self.epochs = dict.fromkeys(range(buckets), 0)
        self.places = {bucket: Place(database.snapshot()) for bucket in range(buckets)}
        self.owners: dict[int, str | None] = dict.fromkeys(range(buckets), None)
        self.beats: dict[str, int] = {}
        self.given = self.lost = 0

    @property
    def view(self) -> View:
        """Who has what now."""
        return View(dict(self.beats), dict(self.owners), dict(self.epochs))

    def claim(self, owner: str, buckets: Collection[int]) -> Taken:
        """These buckets at new epochs, whoever had them, and where they stand."""
        for bucket in buckets:
            self.epochs[bucket] += 1
            self.owners[bucket] = owner
        self.beats.setdefault(owner, 0)
        self.database.save()
        return Taken(
            {each: self.epochs[each] for each in buckets}, {each: self.places[each] for each in buckets}
        )

    def exchange(
        self, claim: Claim, watch: Watch, places: Mapping[int, Place], movable: Collection[int], now: float
    ) -> Exchanged:
        """As ``leases`` does it, in one transaction."""
        view = self.view
        if claim.owner not in view.beats:
            raise LostError("taken for dead")
        living = watch.look(view, now)
        for name in view.beats.keys() - living.alive - {claim.owner}:
            del self.beats[name]
        wish = shares.exchange(claim.owner, view, claim.epochs, living, movable)
        taken = self.claim(claim.owner, wish.take)
        wished = {bucket: places[bucket] for bucket in wish.give}
        lost = self.save(claim.epochs, wished)
        self.given += len(wished) - len(lost)
        for bucket in wished.keys() - lost:
            self.epochs[bucket] += 1
            self.owners[bucket] = None
        return Exchanged(taken, frozenset(wished.keys() - lost), lost)

    def save(self, epochs: Mapping[int, int], places: Mapping[int, Place]) -> frozenset[int]:
        """Keep what is still of this epoch; which is not."""
        kept = {
            bucket: place for bucket, place in places.items() if epochs.get(bucket) == self.epochs[bucket]
        }
        self.places.update(kept)
        self.database.save()
        self.lost += len(places) - len(kept)
        return frozenset(places.keys() - kept.keys())


class Steps:
    """Every point at which a relay may be held up or killed, counted over all relays."""

    def __init__(self, chance: random.Random, fatal: int = 0) -> None:
        """At point number ``fatal`` the relay that comes there dies; 0: at none."""
        self.count = 0
        self._chance = chance
        self._fatal = fatal

    def touch(self) -> bool:
        """Whether this is where it dies."""
        self.count += 1
        return self.count == self._fatal

    async def step(self) -> None:
        """A moment, sometimes a long one."""
        if self.touch():
            raise KilledError
        dice = self._chance.random()
        await asyncio.sleep(dice * 0.005 if dice < 0.98 else 0.5 + self._chance.random())


class Rows(Reader):
    """The queries of ``shape`` as functions over the simulated table."""

    def __init__(self, database: Database, size: int, steps: Steps) -> None:
        self.database = database
        self.size = size
        self.steps = steps
        self.largest = 0

    async def poll(self, poll: Poll) -> Page:
        await self.steps.step()
        seen, wal = self.database.snapshot(), self.database.inserted
        rows = [
            each
            for each in self.database.rows
            if each.bucket in poll.buckets and not poll.base.sees(each.xid)
        ]
        await self.steps.step()
        if len(rows) > self.size:
            return Page([], seen, False, wal)
        return page(rows, seen, True, wal)

    async def walk(self, walk: Walk) -> Page:
        await self.steps.step()
        wal = self.database.inserted
        rows = [
            each
            for each in sorted(self.database.rows, key=lambda each: each.id)
            if each.bucket in walk.buckets
            and walk.after < each.id
            and (walk.until is None or each.id <= walk.until)
            and not walk.base.sees(each.xid)
            and walk.target.sees(each.xid)
        ][: self.size]
        await self.steps.step()
        return page(rows, None, len(rows) < self.size, wal)

    async def floor(self, base: Snapshot) -> int:
        await self.steps.step()
        lowest = min((each.id for each in self.database.rows if not base.sees(each.xid)), default=None)
        await self.steps.step()
        return lowest - 1 if lowest is not None else 0

    async def gate(self, wal: int) -> None:
        waited = 0
        while self.database.flushed < wal:
            await self.steps.step()
            waited += 1
            if waited > 5:
                self.database.flush()


def page(rows: list[Row], seen: Snapshot | None, whole: bool, wal: int) -> Page:
    """Rows as the reader gives them."""
    made = [
        row(id=each.id, bucket=each.bucket, key=each.key, event=each.token, body=b"%d" % each.version)
        for each in sorted(rows, key=lambda each: each.id)
    ]
    return Page(list(made), seen, whole, wal)


@dataclass(frozen=True)
class Parts:
    """What a relay is made of; a mutant has one wrong part."""

    rows: Callable[[Database, int, Steps], Reader] = Rows
    table: Callable[[Database, int], Table] = Table
    cursor: type[Cursor] = Cursor


class _Ledger:
    """What a relay's ``Holding`` asks of its ledger, with a moment before and behind each statement."""

    def __init__(self, table: Table, steps: Steps) -> None:
        self._table = table
        self._steps = steps

    async def save(self, _: object, claim: Claim, places: Mapping[int, Place]) -> frozenset[int]:
        epochs = dict(claim.epochs)
        await self._steps.step()
        lost = self._table.save(epochs, places)
        await self._steps.step()
        return lost

    async def look(self, _: object, watch: Watch) -> tuple[View, Living]:
        asked = asyncio.get_running_loop().time()
        await self._steps.step()
        view = self._table.view
        await self._steps.step()
        return view, watch.look(view, asked)

    async def exchange(
        self, _: object, claim: Claim, watch: Watch, places: Mapping[int, Place], movable: Collection[int]
    ) -> Exchanged:
        await self._steps.step()
        now = asyncio.get_running_loop().time()
        done = self._table.exchange(claim, watch, places, movable, now)
        await self._steps.step()
        return done


class Life:
    """One life of a relay. ``watch`` is told each bucket's place whenever it moves."""

    def __init__(
        self,
        name: str,
        parts: Parts,
        database: Database,
        table: Table,
        broker: Broker,
        steps: Steps,
        size: int,
        watch: Callable[[Mapping[int, Place]], None],
    ) -> None:
        self.name = name
        self._parts = parts
        self._database = database
        self._table = table
        self._broker = broker
        self._steps = steps
        self._size = size
        self._watch = watch
        self._link: Link | None = None
        self._dead = asyncio.Event()

    async def run(self, buckets: Collection[int]) -> None:
        """Take these buckets from whoever has them, and share the feed until it is killed or taken for dead."""
        loop = asyncio.get_running_loop()
        taken = self._table.claim(self.name, buckets)
        claim = Claim(self.name, dict(taken.epochs), taken, 1, loop.time(), (), SERVER)
        turns = self._turns(taken)
        ledger = cast("Any", _Ledger(self._table, self._steps))
        others = Watch(LEASE, loop.time, lambda _: False)
        holding = Holding(claim, turns, ledger, others, lambda: None)
        tasks = [
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._save(turns, holding)),
            asyncio.create_task(self._share(holding)),
            asyncio.create_task(self._publish(turns, holding, Lease(FOR_EVER, loop.time, loop.time()))),
            asyncio.create_task(self._dead.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._die()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if not isinstance(task.exception(), LostError | KilledError):
                task.result()

    def _turns(self, taken: Taken) -> Turns:
        loop, watch = asyncio.get_running_loop(), self._watch

        class Watched(self._parts.cursor):  # type: ignore[name-defined,misc]
            def move(self, places: Mapping[int, Place]) -> None:
                super().move(places)
                watch(self.places)

        rows = self._parts.rows(self._database, self._size, self._steps)
        metrics = Metrics(CollectorRegistry())
        return Turns(Watched(taken.places), rows, maker(), metrics, loop.time, fresh=loop.time())

    def _die(self) -> None:
        self._dead.set()
        if self._link is not None:
            self._link.abandon()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 6)
            await self._steps.step()
            if self.name not in self._table.beats:
                raise LostError("taken for dead")
            self._table.beats[self.name] += 1

    async def _share(self, holding: Holding) -> None:
        while True:
            await asyncio.sleep(LEASE / 6)
            if await holding.look(cast("Any", None)):
                await holding.exchange(cast("Any", None))

    async def _save(self, turns: Turns, holding: Holding) -> None:
        while True:
            await asyncio.sleep(0.1)
            self._watch(turns.places())
            await holding.save(cast("Any", None))

    async def _publish(self, turns: Turns, holding: Holding, lease: Lease) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            courier = Courier(lease, 0.5, None, "simulated", clock)
            self._link = Link(self._broker, _Outcomes(courier, self._steps, self._die))
            try:
                while True:
                    async with holding.turn():
                        worked = await turns.turn(courier, self._link)
                    courier.check()
                    await asyncio.sleep(0.005 if worked else 0.05)
            except AwayError:
                await asyncio.sleep(0.1)


class _Outcomes:
    """The courier's, unless the relay dies just before it hears."""

    def __init__(self, courier: Courier, steps: Steps, die: Callable[[], None]) -> None:
        self._courier = courier
        self._steps = steps
        self._die = die

    def acknowledged(self, number: int) -> None:
        if self._steps.touch():
            self._die()
        else:
            self._courier.acknowledged(number)

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        self._courier.refused(number, reason, own=own)

    def lost(self, reason: str) -> None:
        self._courier.lost(reason)
