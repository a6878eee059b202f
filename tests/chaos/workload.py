"""Writers that keep a book of what became of each change, whatever happens to the database meanwhile."""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg

from tests.chaos.checker import Outcome

KEYS = 40
WIDE = 20000
"""Keys that only the large transactions change."""

TABLES = f"""
CREATE TABLE aggregate (k text PRIMARY KEY, v bigint NOT NULL DEFAULT 0, token text, pad text);
INSERT INTO aggregate (k) SELECT 'k' || to_char(n, 'FM00') FROM generate_series(0, {KEYS - 1}) n;
INSERT INTO aggregate (k) SELECT 'w' || n FROM generate_series(0, {WIDE - 1}) n;
CREATE TABLE ob (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text, type text, payload jsonb);
CREATE TABLE journal (token text PRIMARY KEY, k text NOT NULL, v bigint NOT NULL);
CREATE TABLE other (x int);
"""
"""``aggregate`` is captured by triggers, ``ob`` is the service's own outbox, ``journal`` is the truth that the
relay never sees."""

CHANGE = """
WITH changed AS (
    UPDATE aggregate SET v = v + 1, token = $2 || '-' || k, pad = $3 WHERE k = ANY($1::text[])
    RETURNING k, v, token, pad),
noted AS (INSERT INTO journal SELECT token, k, v FROM changed)
INSERT INTO ob (key, type, payload)
SELECT k, 'changed', jsonb_build_object('k', k, 'v', v, 'token', token, 'pad', pad) FROM changed"""

FLOOD = """
WITH changed AS (
    INSERT INTO aggregate (k, v, token) SELECT $1 || '-' || n, 1, $1 || '-' || n FROM generate_series(1, $2::int) n
    RETURNING k, v, token),
noted AS (INSERT INTO journal SELECT token, k, v FROM changed)
INSERT INTO ob (key, type, payload)
SELECT k, 'changed', jsonb_build_object('k', k, 'v', v, 'token', token) FROM changed"""

PAD = 3000
"""Characters that make an event larger than usual."""

BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Book:
    """What the writers know of each change."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}

    def note(self, tokens: Iterable[str], outcome: Outcome) -> None:
        """All of these have this outcome now."""
        for token in tokens:
            self.outcomes[token] = outcome


class Workload:
    """All writers. ``url`` gives the database's own address: what is broken for the relays is not for them."""

    def __init__(self, url: Callable[[], str], seed: int, book: Book, largest: int = WIDE) -> None:
        """``largest``: rows of a large transaction at the most."""
        self.book = book
        self.calm = asyncio.Event()
        """Cleared: whoever waits for the disk commits later."""
        self.calm.set()
        self.going = asyncio.Event()
        """Cleared: nobody begins a transaction."""
        self.going.set()
        self.reconnects = 0
        self._floods = itertools.count()
        self.largest = min(largest, WIDE)
        self._url = url
        self._seed = seed
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, count: int = 12) -> None:
        """``count`` writers of small transactions, one of long and one of large ones."""
        writers: list[Writer] = [Writer(self, number) for number in range(count)]
        writers += [Long(self, count), Large(self, count + 1)]
        self._tasks = [asyncio.create_task(each.run(), name=f"writer {each.number}") for each in writers]

    async def stop(self) -> None:
        """Let every writer end what it is doing."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def connect(self, *, hasty: bool) -> Any:
        """A session whose commits wait for the disk, or do not; tried until there is one."""
        settings = {"application_name": "service", "synchronous_commit": "off" if hasty else "on"}
        while True:
            try:
                return await asyncpg.connect(self._url(), server_settings=settings, timeout=5)
            except BROKEN:
                await asyncio.sleep(0.1)

    async def flood(self, rows: int) -> None:
        """So many rows in one transaction, again from the start whenever the session breaks."""
        while True:
            prefix = f"flood{next(self._floods)}"
            tokens = [f"{prefix}-{number}" for number in range(1, rows + 1)]
            self.book.note(tokens, Outcome.UNDONE)
            session = await self.connect(hasty=False)
            try:
                async with session.transaction():
                    await session.execute(FLOOD, prefix, rows, timeout=600)
                    self.book.note(tokens, Outcome.MAYBE)
                self.book.note(tokens, Outcome.COMMITTED)
            except BROKEN:
                continue
            else:
                return
            finally:
                session.terminate()

    def random(self, number: int) -> random.Random:
        """A writer's own dice."""
        return random.Random(f"{self._seed}/{number}")


class Writer:
    """Small transactions: late commits, rollbacks, savepoints, prepared ones; a third of the writers never
    waits for the disk."""

    def __init__(self, workload: Workload, number: int) -> None:
        self.number = number
        self.hasty = number % 3 == 0
        self.all = workload
        self.chance = workload.random(number)
        self._count = itertools.count()
        self._prepared = ""
        self._tokens: list[str] = []

    async def run(self) -> None:
        """Until told to stop; a broken session is replaced."""
        while not self.all.stopping:
            session = await self.all.connect(hasty=self.hasty)
            try:
                await self._resolve(session)
                while not self.all.stopping:
                    await self.transaction(session)
                await session.close(timeout=5)
            except BROKEN:
                self.all.reconnects += 1
                session.terminate()
                await asyncio.sleep(0.05)

    async def transaction(self, session: Any) -> None:
        """One transaction. What was not asked to commit when the session broke is undone."""
        self._tokens = []
        await self.all.going.wait()
        await session.execute("BEGIN")
        await self.body(session)
        await self._end(session, self.chance.random())
        await asyncio.sleep(self.chance.random() * 0.05)

    async def body(self, session: Any) -> None:
        """The changes of one transaction."""
        if self.chance.random() < 0.5:
            # The transaction's number is taken long before its events are written.
            await session.execute("INSERT INTO other VALUES (1)")
            await asyncio.sleep(self.chance.random() * 0.05)
        for key in sorted(self.chance.sample(range(KEYS), self.chance.choice([1, 1, 1, 2, 5]))):
            if self.chance.random() < 0.2:
                await self._inner(session, key)
            else:
                await self.change(session, [f"k{key:02}"])
            if self.chance.random() < 0.3:
                await asyncio.sleep(self.chance.random() * 0.1)

    async def _inner(self, session: Any, key: int) -> None:
        await session.execute("SAVEPOINT s")
        before = list(self._tokens)
        await self.change(session, [f"k{key:02}"])
        if self.chance.random() < 0.5:
            await session.execute("ROLLBACK TO SAVEPOINT s")
            self._tokens = before
        else:
            await session.execute("RELEASE SAVEPOINT s")

    async def change(self, session: Any, keys: list[str]) -> None:
        """Change these keys in one statement."""
        prefix = f"{self.number}-{next(self._count)}"
        tokens = [f"{prefix}-{key}" for key in keys]
        self._tokens += tokens
        self.all.book.note(tokens, Outcome.UNDONE)
        pad = "x" * PAD if len(keys) == 1 and self.chance.random() < 0.03 else None
        await session.execute(CHANGE, keys, prefix, pad)

    async def _end(self, session: Any, dice: float) -> None:
        tokens = self._tokens
        if dice < 0.08:
            await session.execute("ROLLBACK")
            return
        if not self.hasty:
            await self.all.calm.wait()
        self.all.book.note(tokens, Outcome.MAYBE)
        if dice < 0.14:
            name = f"g{self.number}_{next(self._count)}"
            self._prepared = name
            await session.execute(f"PREPARE TRANSACTION '{name}'")
            await asyncio.sleep(0.05)
            await session.execute(f"COMMIT PREPARED '{name}'")
            self._prepared = ""
        else:
            await session.execute("COMMIT")
        if not self.hasty:
            self.all.book.note(tokens, Outcome.COMMITTED)

    async def _resolve(self, session: Any) -> None:
        """A transaction that outlived its session holds its locks until somebody ends it."""
        if self._prepared and await session.fetchval(
            "SELECT count(*) FROM pg_prepared_xacts WHERE gid = $1", self._prepared
        ):
            verb = "COMMIT" if self.chance.random() < 0.7 else "ROLLBACK"
            await session.execute(f"{verb} PREPARED '{self._prepared}'")
        self._prepared = ""


class Long(Writer):
    """Transactions that stay open for seconds, begun long before they write."""

    def __init__(self, workload: Workload, number: int) -> None:
        super().__init__(workload, number)
        self.hasty = False

    async def body(self, session: Any) -> None:
        await session.execute("INSERT INTO other VALUES (2)")
        await asyncio.sleep(self.chance.uniform(0.5, 2.0))
        await self.change(session, [f"k{KEYS - 1:02}"])
        await asyncio.sleep(self.chance.uniform(0.5, 2.0))


class Large(Writer):
    """Now and then thousands of rows in one transaction: a tick of many pages."""

    def __init__(self, workload: Workload, number: int) -> None:
        super().__init__(workload, number)
        self.hasty = False

    async def body(self, session: Any) -> None:
        for _ in range(self.chance.randrange(20, 80)):
            if self.all.stopping:
                return
            await asyncio.sleep(0.1)
        count = min(self.chance.choice([500, 3000, WIDE]), self.all.largest)
        await self.change(session, [f"w{number}" for number in range(count)])
