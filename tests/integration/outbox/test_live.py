"""Triggers come and go on a table that is written to all the time, and hold nobody up."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.config.sections.outbox import Changes, Outbox, Table
from agent.outbox.database import Database
from agent.outbox.sql.facts import gather
from agent.outbox.sql.install import SESSION
from agent.outbox.sql.plan import names, removal
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.pulse import pulse
from tests.waiting import until

WRITERS = 16
BLOCKED = 3.0
"""Seconds for which a transaction keeps the lock from being had."""

ENOUGH = 1.5
"""Seconds by which no write may take longer than one that nothing stands in the way of: the lock's time-out is 0.1."""


@dataclass
class Written:
    """What the writers did."""

    committed: dict[int, float] = field(default_factory=dict)
    """When the insert of each number began."""
    slowest: float = 0.0
    """Seconds of the slowest write."""


@asynccontextmanager
async def writers(bench: Bench, statement: str) -> AsyncIterator[Written]:
    """Sixteen connections that run the statement with ever new numbers for the body."""
    written, numbers, ends = Written(), itertools.count(1), asyncio.Event()

    async def write() -> None:
        connection = await bench.connect()
        while not ends.is_set():
            number, began = next(numbers), time.monotonic()
            await connection.execute(statement, number)
            written.committed[number] = began
            written.slowest = max(written.slowest, time.monotonic() - began)
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(write()) for _ in range(WRITERS)]
    await until(lambda: len(written.committed) > WRITERS, within=30)
    try:
        yield written
    finally:
        ends.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def open_transaction(bench: Bench, statement: str) -> AsyncIterator[None]:
    """Somebody who has written to the table and does not commit for a while."""
    connection = await bench.connect()
    await connection.execute(f"BEGIN; {statement}")
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.call_later(BLOCKED, ended.set_result, None)

    async def commit() -> None:
        await ended
        await connection.execute("COMMIT")

    task = asyncio.create_task(commit())
    try:
        yield
    finally:
        await task


def told(written: Written) -> None:
    """Say it, for `pytest -s`."""
    count, slowest = len(written.committed), written.slowest * 1000
    sys.stdout.write(f"the slowest of {count} writes took {slowest:.0f} ms\n")


async def remove(bench: Bench, settings: Outbox) -> None:
    """Take everything out again as the printed SQL does."""
    async with Database(lambda: bench.url, settings=SESSION).connection() as connection:
        steps = removal(settings, await gather(connection, settings.schema, names(settings)))
        await bench.installer(settings).run(connection, steps)


async def test_triggers_come_and_go_under_load_without_holding_a_writer_up(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),))
    async with pulse(bench) as undisturbed, writers(bench, "INSERT INTO t VALUES ($1)") as written:
        began = time.monotonic()
        async with open_transaction(bench, "INSERT INTO t VALUES (-1)"):
            await bench.init(settings)
        assert time.monotonic() - began >= BLOCKED, "the lock was had while somebody held it"
        prepared, count = time.monotonic(), len(written.committed)
        await until(lambda: len(written.committed) > count + 100, within=30)
        captured = {int(row["key"]) for row in await bench.outbox()}
        async with open_transaction(bench, "INSERT INTO t VALUES (-2)"):
            await remove(bench, settings)
    told(written)
    assert written.slowest < undisturbed.slowest + ENOUGH
    news = {number for number, at in written.committed.items() if at > prepared}
    assert captured & news
    assert await bench.service.fetchval("SELECT count(*) FROM t") == len(written.committed) + 2
    assert not await bench.service.fetchval("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '!pillion%'")


async def test_an_outbox_table_is_prepared_under_load_without_holding_a_writer_up(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE ob (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, key text, payload text)"
    )
    settings = bench.settings(tables=(Table(table="ob"),))
    insert = "INSERT INTO ob (key, payload) VALUES ('k', $1::int::text)"
    async with bench.relay(settings):
        async with pulse(bench) as undisturbed, writers(bench, insert) as written:
            async with open_transaction(bench, "INSERT INTO ob (key, payload) VALUES ('open', '-1')"):
                await bench.init(settings, "publish")
            count = len(written.committed)
            await until(lambda: len(written.committed) > count + 100, within=30)
        told(written)
        assert written.slowest < undisturbed.slowest + ENOUGH
        arrived = await bench.until_arrived(len(written.committed) + 1)
    assert {int(each.body) for each in arrived} == {-1, *written.committed}


async def test_every_row_of_a_transaction_that_begins_after_the_triggers_is_told(bench: Bench) -> None:
    """Also where its snapshot is from before: a table's triggers are those of now, not those of its snapshot."""
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    early = await bench.connect()
    await early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class LIMIT 1")
    await bench.init(bench.settings(changes=(Changes(table="t"),)))
    await early.execute("INSERT INTO t VALUES (1); COMMIT")
    assert [row["key"] for row in await bench.outbox()] == ["1"]
