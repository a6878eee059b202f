"""A page fits into memory, whatever rows come."""

import msgspec

from agent.config.sections.outbox import Table
from agent.outbox import reader, shape
from agent.outbox.cursor import Poll, Walk
from agent.outbox.database import Database
from agent.outbox.feeds import feeds
from agent.outbox.reader import Reader
from agent.outbox.relay import READS
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


async def test_a_walk_reads_in_order_also_where_postgresql_knows_nothing_of_the_table(bench: Bench) -> None:
    """As after a restore, or just after a large transaction: to read and sort all for each page takes minutes."""
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
    seen = Snapshot.parse(await bench.service.fetchval("SELECT pg_current_snapshot()::text"))
    async with Database(lambda: bench.url, settings=READS).connection() as connection:
        table = await shape.look(connection, feed)
        arguments = (0, str(NOTHING), list(range(64)), 100, 1000, str(seen), 2**62)
        rows = await connection.fetch(
            "asking for the plan", "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + table.walk, *arguments
        )
        plan = msgspec.json.decode(rows[0]["QUERY PLAN"])[0]["Plan"]
    assert plan["Actual Rows"] == 100
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100, plan
