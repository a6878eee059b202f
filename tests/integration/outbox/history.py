"""Writers that log what they committed, and the checker of what arrived."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.integration.outbox.bench import Arrived

KEYS = 40

AGGREGATE = """
CREATE TABLE aggregate (k int PRIMARY KEY, v bigint NOT NULL DEFAULT 0);
INSERT INTO aggregate SELECT n, 0 FROM generate_series(0, 39) n;
CREATE TABLE other (x int);
"""
"""A model whose changes are captured: the version rises with every committed change."""

OUTBOX = """
CREATE TABLE ob (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text, type text, payload jsonb);
"""
"""An outbox table that the writers fill after they changed the aggregate."""

NOTE = """
INSERT INTO ob (key, type, payload)
VALUES ($1::int::text, 'changed', jsonb_build_object('k', $1::int, 'v', $2::bigint))"""


@dataclass
class History:
    """What was committed, as the writers saw it."""

    committed: dict[tuple[int, int], float] = field(default_factory=dict)
    """Wall-clock time at which the commit had returned, by key and version."""

    def commit(self, versions: list[tuple[int, int]]) -> None:
        now = time.time()
        for each in versions:
            assert each not in self.committed, "a version was committed twice: the test itself is wrong"
            self.committed[each] = now


class Writers:
    """Transactions with late commits, rollbacks, savepoints, prepared transactions and long ones."""

    def __init__(
        self, connect: Callable[[], Any], history: History, *, note: bool = False, seed: int = 1
    ) -> None:
        self._connect = connect
        self._history = history
        self._note = note
        self._seed = seed
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._names = itertools.count()

    def start(self, count: int = 12, *, long: float = 3.0) -> None:
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(count)]
        self._tasks.append(asyncio.create_task(self._long(long)))

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _change(self, connection: Any, key: int) -> tuple[int, int]:
        version = await connection.fetchval("UPDATE aggregate SET v = v + 1 WHERE k = $1 RETURNING v", key)
        if self._note:
            await connection.execute(NOTE, key, version)
        return key, version

    async def _write(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        connection = await self._connect()
        while not self._stop.is_set():
            await self._transaction(connection, chance)

    async def _transaction(self, connection: Any, chance: random.Random) -> None:
        done = []
        await connection.execute("BEGIN")
        if chance.random() < 0.5:
            # The transaction's number is taken long before its events are written.
            await connection.execute("INSERT INTO other VALUES (1)")
            await asyncio.sleep(chance.random() * 0.05)
        for key in sorted(chance.sample(range(KEYS), chance.choice([1, 1, 1, 2, 5]))):
            if chance.random() < 0.2:
                await connection.execute("SAVEPOINT s")
                change = await self._change(connection, key)
                if chance.random() < 0.5:
                    await connection.execute("ROLLBACK TO SAVEPOINT s")
                    continue
                await connection.execute("RELEASE SAVEPOINT s")
                done.append(change)
            else:
                done.append(await self._change(connection, key))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.1)
        await self._end(connection, chance.random(), done)
        await asyncio.sleep(chance.random() * 0.03)

    async def _end(self, connection: Any, dice: float, done: list[tuple[int, int]]) -> None:
        if dice < 0.08:
            await connection.execute("ROLLBACK")
            return
        if dice < 0.14:
            name = f"g{self._seed}_{id(self)}_{next(self._names)}"
            await connection.execute(f"PREPARE TRANSACTION '{name}'")
            await asyncio.sleep(0.05)
            await connection.execute(f"COMMIT PREPARED '{name}'")
        else:
            await connection.execute("COMMIT")
        self._history.commit(done)

    async def _long(self, seconds: float) -> None:
        connection = await self._connect()
        while not self._stop.is_set():
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO other VALUES (2)")
            await asyncio.sleep(seconds / 2)
            change = await self._change(connection, 39)
            await asyncio.sleep(seconds / 2)
            await connection.execute("COMMIT")
            self._history.commit([change])


def version(message: Arrived) -> tuple[int, int]:
    """The key and version that a message tells of."""
    data = message.data
    data = data.get("after", data)
    return data["k"], data["v"]


@dataclass(frozen=True)
class Verdict:
    """What the checker found."""

    missing: list[tuple[int, int]]
    phantom: list[tuple[int, int]]
    inversions: list[str]
    duplicates: int


def check(history: History, arrived: list[Arrived]) -> Verdict:
    """Compare what was committed with what arrived: all of it, nothing else, first occurrences of a key in
    order."""
    newest: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    inversions, duplicates = [], 0
    for message in arrived:
        each = version(message)
        if each in seen:
            duplicates += 1
            continue
        seen.add(each)
        if each[1] < newest.get(each[0], 0):
            inversions.append(f"{each} after {newest[each[0]]}")
        newest[each[0]] = each[1]
    missing = sorted(set(history.committed) - seen)
    return Verdict(missing, sorted(seen - set(history.committed)), inversions, duplicates)


async def connect_as_service(url: str) -> Any:
    return await asyncpg.connect(url, server_settings={"application_name": "service"})
