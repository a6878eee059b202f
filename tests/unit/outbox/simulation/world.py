"""Writers, relays and faults from a seed, then rest, and everything that is needed to judge."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.outbox.cursor import Place
from tests.chaos.checker import Change, Fault, Outcome, Seen, Verdict, check
from tests.unit.outbox.simulation import clock
from tests.unit.outbox.simulation.broker import Broker
from tests.unit.outbox.simulation.database import Database, GoneError, Transaction
from tests.unit.outbox.simulation.relay import Life, Parts, Steps, broken

FOR_EVER = 1e9

MOST = 6
"""Relays at once; those that are robbed go on with what they have left."""


@dataclass(frozen=True)
class Scenario:
    """What happens. Times are virtual seconds."""

    seed: int
    seconds: float = 4.0
    page: int = 3
    buckets: int = 3
    keys: int = 6
    writers: int = 4
    bulk: int = 0
    """Rows of the large transaction in the middle, while no relay runs; 0: neither."""
    relays: int = 1
    """As many share the feed."""
    kills: float = 0.0
    """Relays killed a second."""
    thefts: float = 0.0
    """Times a second at which a newcomer takes buckets from relays that go on meanwhile."""
    crashes: float = 0.0
    """Crashes of the database a second."""
    hasty: float = 0.5
    """The part of the commits that do not wait for the disk."""
    refusing: int = 0
    losing: float = 0.0
    fatal: int = 0
    """See ``Steps``."""


@dataclass
class Result:
    """What came of it."""

    verdict: Verdict
    broken: list[str] = field(default_factory=list)
    """Where the invariant did not hold."""
    steps: int = 0
    """Until everything had arrived."""
    crashes: int = 0
    lives: int = 0
    given: int = 0
    """Buckets that were given up for another relay."""
    lost: int = 0
    """Saves of a bucket that came too late."""

    @property
    def problems(self) -> list[str]:
        return [*self.broken, *self.verdict.problems]


def play(scenario: Scenario, parts: Parts | None = None) -> Result:
    """The whole of a scenario."""
    return clock.run(_World(scenario, parts or Parts()).run())


class _World:
    def __init__(self, scenario: Scenario, parts: Parts) -> None:
        self.scenario = scenario
        self.parts = parts
        self.chance = random.Random(scenario.seed)
        self.database = Database()
        self.table = parts.table(self.database, scenario.buckets)
        self.broker = Broker(random.Random(scenario.seed + 1), scenario.refusing, scenario.losing)
        self.steps = Steps(random.Random(scenario.seed + 2), scenario.fatal)
        self.book: dict[str, Outcome] = {}
        self.locks: dict[str, asyncio.Lock] = {}
        self.settled = 0
        self.lives: list[asyncio.Task[None]] = []
        self.names: dict[str, asyncio.Task[None]] = {}
        self.broken: list[str] = []
        self.crashes = self.born = 0
        self.writing = True

    async def run(self) -> Result:
        others = [
            asyncio.create_task(each)
            for each in (
                self._relays(), self._flush(), self._often(self.scenario.kills, self._kill),
                self._often(self.scenario.thefts, self._steal), self._often(self.scenario.crashes, self._crash),
            )
        ]  # fmt: skip
        writers = [asyncio.create_task(self._write(number)) for number in range(self.scenario.writers)]
        await asyncio.sleep(self.scenario.seconds)
        self.writing = False
        await asyncio.gather(*writers)
        self.database.flush()
        for task in others[1:]:
            task.cancel()
        self.broker.healthy = True
        await self._rest()
        for task in [*others, *self.lives]:
            task.cancel()
        for result in await asyncio.gather(*others, *self.lives, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        return Result(
            self._verdict(), self.broken, self.settled, self.crashes, self.born, self.table.given,
            self.table.lost,
        )  # fmt: skip

    async def _rest(self) -> None:
        deadline = asyncio.get_running_loop().time() + 150
        while asyncio.get_running_loop().time() < deadline:
            if all(row.token in self.broker.tokens for row in self.database.rows):
                break
            await asyncio.sleep(0.5)
        self.settled = self.steps.count
        await asyncio.sleep(1)  # who is killed at the last of these steps has a successor by then

    def _verdict(self) -> Verdict:
        journal = {row.token: Change(row.key, row.version) for row in self.database.rows}
        seen = [
            Seen(each.event.id, Change(each.event.key or "", int(each.event.body)), each.event.id, each.at)
            for each in self.broker.log
        ]
        return check(self.book, journal, seen, [Fault(0.0, FOR_EVER)])

    def _watch(self, places: Mapping[int, Place]) -> None:
        for bucket, place in places.items():
            rows = broken(place, bucket, self.database.rows, self.broker.tokens)
            self.broken += [f"bucket {bucket} at {place} covers {row}, which is not sent" for row in rows]

    async def _relays(self) -> None:
        """As many live as are to; a new one takes what nobody has."""
        while True:
            living = [each for each in self.lives if not each.done()]
            if len(living) < self.scenario.relays and not self._outage():
                free = [bucket for bucket, owner in self.table.owners.items() if not self._is_alive(owner)]
                # A dead one is missed only after a while, but for the last of all.
                self._live(free if not living else [])
            await asyncio.sleep(0.02)

    def _is_alive(self, owner: str | None) -> bool:
        return owner in self.names and not self.names[owner].done()

    def _outage(self) -> bool:
        now, middle = asyncio.get_running_loop().time(), self.scenario.seconds / 2
        return bool(self.scenario.bulk) and middle < now < middle + 0.5

    def _live(self, buckets: list[int]) -> None:
        self.born += 1
        life = Life(
            f"r{self.born}", self.parts, self.database, self.table, self.broker, self.steps, self.scenario.page,
            self._watch,
        )  # fmt: skip
        task = asyncio.create_task(life.run(buckets))
        self.lives.append(task)
        self.names[life.name] = task

    async def _often(self, rate: float, what: object) -> None:
        while rate:
            await asyncio.sleep(self.chance.expovariate(rate))
            assert callable(what)
            what()

    def _kill(self) -> None:
        living = [each for each in self.lives if not each.done()]
        if living:
            self.chance.choice(living).cancel()

    def _steal(self) -> None:
        if not self._outage() and sum(not each.done() for each in self.lives) < MOST:
            count = self.chance.randint(1, self.scenario.buckets)
            self._live(self.chance.sample(range(self.scenario.buckets), count))

    def _crash(self) -> None:
        """Sessions end with the server, and a relay forgets everything with its session."""
        self.crashes += 1
        self.database.crash()
        for each in self.lives:
            each.cancel()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self.chance.random() * 0.4)
            self.database.flush()

    async def _write(self, number: int) -> None:
        chance = random.Random(f"{self.scenario.seed}/{number}")
        count = 0
        if number == 0 and self.scenario.bulk:
            await self._bulk(chance)
            return
        while self.writing:
            count += 1
            with contextlib.suppress(GoneError):
                await self._transaction(
                    chance, f"{number}-{count}", hasty=chance.random() < self.scenario.hasty
                )
            await asyncio.sleep(chance.random() * 0.1)

    async def _bulk(self, chance: random.Random) -> None:
        """Many rows at once, while other transactions that began before are still open."""
        await asyncio.sleep(self.scenario.seconds / 2 + 0.1)
        transaction = self.database.begin()
        tokens = [f"bulk-{number}" for number in range(self.scenario.bulk)]
        self.book |= dict.fromkeys(tokens, Outcome.MAYBE)
        with contextlib.suppress(GoneError):
            self.database.number(transaction)
            await asyncio.sleep(chance.random() * 0.2)
            for token in tokens:
                self.database.insert(transaction, chance.randrange(self.scenario.buckets), token, token)
            self.database.commit(transaction, hasty=False)

    async def _transaction(self, chance: random.Random, name: str, *, hasty: bool) -> None:
        """Late commits, long ones, savepoints, rollbacks and two phases."""
        transaction = self.database.begin()
        tokens: list[str] = []
        async with contextlib.AsyncExitStack() as stack:
            if chance.random() < 0.5:
                self.database.number(transaction)
                await asyncio.sleep(chance.random() * 0.05)
            if chance.random() < 0.05:
                await asyncio.sleep(chance.random() * 2)
            for key in sorted(chance.sample(range(self.scenario.keys), chance.choice([1, 1, 1, 2, 4]))):
                await stack.enter_async_context(self.locks.setdefault(f"k{key}", asyncio.Lock()))
                token = f"{name}-{key}"
                self.book[token] = Outcome.UNDONE
                row = self.database.insert(transaction, key % self.scenario.buckets, f"k{key}", token)
                if chance.random() < 0.2:
                    self.database.savepoint()
                    if chance.random() < 0.5:
                        transaction.rows.remove(row)
                        continue
                tokens.append(token)
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() * 0.1)
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random())
            await self._end(transaction, tokens, chance, hasty=hasty)

    async def _end(
        self, transaction: Transaction, tokens: list[str], chance: random.Random, *, hasty: bool
    ) -> None:
        dice = chance.random()
        if dice < 0.1:
            self.database.roll_back(transaction)
            return
        self.book |= dict.fromkeys(tokens, Outcome.MAYBE)
        if dice < 0.2:
            self.database.prepare(transaction)
            await asyncio.sleep(chance.random() * 0.3)
        self.database.commit(transaction, hasty=hasty)
        if not hasty:
            self.book |= dict.fromkeys(tokens, Outcome.COMMITTED)
