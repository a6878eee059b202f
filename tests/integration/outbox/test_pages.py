"""A page fits into memory, whatever rows come."""

from agent.config.sections.outbox import Table
from agent.outbox import reader, shape
from agent.outbox.cursor import Poll, Walk
from agent.outbox.database import Database
from agent.outbox.feeds import feeds
from agent.outbox.reader import Reader
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
