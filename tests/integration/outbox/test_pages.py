"""A page fits into memory, whatever rows come, and is found without reading what it does not hold."""

from collections.abc import Callable
from typing import Any

import msgspec

from agent.config.sections.outbox import Table
from agent.outbox import reader, shape
from agent.outbox.cursor import Poll, Walk
from agent.outbox.database import Database
from agent.outbox.feeds import Feed, feeds
from agent.outbox.reader import Reader
from agent.outbox.relay import READS
from agent.outbox.shape import Shape
from agent.outbox.snapshot import Snapshot
from tests.integration.outbox.bench import Bench

NOTHING = Snapshot.parse("3:3:")


async def test_large_rows_behind_small_ones_end_the_page(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, type text, payload text)"
    )
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    await bench.service.execute(
        "INSERT INTO ob (key, payload) SELECT n::text, CASE WHEN n <= 16 THEN 'x' ELSE repeat('x', 1000000) END "
        "FROM generate_series(1, 100) n"
    )
    feed = feeds(settings)[0]
    seen = Snapshot.parse(await bench.service.fetchval("SELECT pg_current_snapshot()::text"))
    async with Database(lambda: bench.url).connection() as connection:
        pages = Reader(connection, await shape.look(connection, feed), feed.name, 1000)
        every = frozenset(range(64))
        page = await pages.walk(Walk(every, NOTHING, seen, 0))
        assert sum(len(row["body"]) for row in page.rows) <= reader.LONGEST_PAGE + 1_000_000
        assert not page.whole
        polled = await pages.poll(Poll(every, NOTHING))
        assert not polled.whole
        after, count = page.rows[-1]["id"], len(page.rows)
        while not page.whole:
            page = await pages.walk(Walk(every, NOTHING, seen, after))
            after, count = page.rows[-1]["id"] if page.rows else after, count + len(page.rows)
        assert count == 100


async def unknown(bench: Bench) -> tuple[Feed, Snapshot]:
    """A table of 20,000 rows at which PostgreSQL has not looked yet, as a feed, and what sees all of them."""
    await bench.service.execute(
        "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, type text, payload text) "
        "WITH (autovacuum_enabled = off)"
    )
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    await bench.service.execute(
        "INSERT INTO ob (key, payload) SELECT n::text, 'x' FROM generate_series(1, 20000) n"
    )
    (feed,) = feeds(settings)
    return feed, Snapshot.parse(await bench.service.fetchval("SELECT pg_current_snapshot()::text"))


async def planned(bench: Bench, feed: Feed, query: Callable[[Shape], str], *arguments: object) -> Any:
    """How PostgreSQL went about a query of the reader's connection."""
    async with Database(lambda: bench.url, settings=READS).connection() as connection:
        sql = query(await shape.look(connection, feed))
        doing = "asking for the plan"
        rows = await connection.fetch(doing, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *arguments)
        return msgspec.json.decode(rows[0]["QUERY PLAN"])[0]["Plan"]


async def test_a_walk_reads_in_order_also_where_postgresql_knows_nothing_of_the_table(bench: Bench) -> None:
    """As after a restore, or just after a large transaction: to read and sort all for each page takes minutes."""
    feed, seen = await unknown(bench)
    arguments = (0, str(NOTHING), list(range(64)), 100, 1000, str(seen), 2**62)
    plan = await planned(bench, feed, lambda table: table.walk, *arguments)
    assert plan["Actual Rows"] == 100
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100, plan


async def test_a_poll_reads_what_is_new_also_where_postgresql_knows_nothing_of_the_table(
    bench: Bench,
) -> None:
    """Up to a minute long after the first events: to read all for each poll costs the service more than its writes."""
    feed, seen = await unknown(bench)
    await bench.service.execute(
        "INSERT INTO ob (key, payload) SELECT n::text, 'x' FROM generate_series(1, 5) n"
    )
    arguments = (str(seen.xmax), [str(xid) for xid in seen.xip], list(range(64)), 1001, 1000)
    plan = await planned(bench, feed, lambda table: table.poll, *arguments)
    assert plan["Actual Rows"] == 5
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100, plan
