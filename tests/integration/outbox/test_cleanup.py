"""What is old and published goes, and looking for it does not read the whole table."""

from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Changes
from agent.outbox.cleanup import Cleaner
from agent.outbox.database import Database
from agent.outbox.metrics import Metrics
from tests.integration.outbox.bench import Bench

FILL = (
    "INSERT INTO pillion.outbox (bucket, origin, type, key, payload, created) "
    "SELECT n & 63, 'public.t', 'c', n::text, '{}', now() - $2::interval FROM generate_series(1, $1::int) n"
)
HOUR, DAYS = "1 hour", "2 days"


async def prepared(bench: Bench) -> Cleaner:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.init(bench.settings(changes=(Changes(table="t"),)))
    database = Database(lambda: bench.url)
    return Cleaner(database, "pillion", "pillion.outbox", 86400.0, Metrics(CollectorRegistry()))


async def fill(bench: Bench, count: int, age: str) -> None:
    await bench.service.execute(FILL.replace("$1", str(count)).replace("$2", f"'{age}'"))


async def rows(bench: Bench) -> int:
    return int(await bench.service.fetchval("SELECT count(*) FROM pillion.outbox"))


async def test_old_and_published_rows_go_and_the_others_stay_until_they_may(bench: Bench) -> None:
    cleaner = await prepared(bench)
    await fill(bench, 2500, DAYS)
    published = "UPDATE pillion.bucket SET base = pg_current_snapshot() WHERE bucket <> 5"
    await bench.service.execute(published)
    await fill(bench, 100, HOUR)
    held = sum(number % 64 == 5 for number in range(1, 2501))
    assert await cleaner.round() == 2500 - held
    assert await rows(bench) == held + 100
    assert await cleaner.round() == 0
    await bench.service.execute("UPDATE pillion.bucket SET base = pg_current_snapshot()")
    assert await cleaner.round() == held
    assert await rows(bench) == 100


async def test_a_round_reads_a_chunk_and_not_the_table(bench: Bench) -> None:
    cleaner = await prepared(bench)
    await fill(bench, 50000, HOUR)
    await bench.service.execute("UPDATE pillion.bucket SET base = pg_current_snapshot()")
    await bench.service.execute("ANALYZE pillion.outbox")
    read = "SELECT pg_stat_get_xact_tuples_returned('pillion.outbox'::regclass)"
    sql = cleaner._sql.replace("$1", "'pillion.outbox'").replace("$2", "86400").replace("$3", "0")
    async with bench.service.transaction():
        await bench.service.fetch(sql)
        assert await bench.service.fetchval(read) <= 2000
