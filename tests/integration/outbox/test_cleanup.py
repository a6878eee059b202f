"""What is old and published goes, and looking for it does not read the whole table."""

import pytest
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


@pytest.mark.parametrize("database_options", ["ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"])
async def test_rows_whose_key_or_content_can_not_be_read_go_like_any_other_and_stay_while_they_are_held(
    bench: Bench,
) -> None:
    cleaner = await prepared(bench)
    await fill(bench, 2500, DAYS)
    odd = r"convert_from('\x6be4'::bytea, 'SQL_ASCII')"
    await bench.service.execute(f"UPDATE pillion.outbox SET key = {odd} WHERE id % 100 = 7")
    await bench.service.execute(
        f"UPDATE pillion.outbox SET payload = ('\"' || {odd} || '\"')::json WHERE id % 100 = 8"
    )
    await bench.service.execute(
        "WITH k AS (INSERT INTO pillion.held_key (feed, id, bucket, state, reason) "
        "SELECT 'pillion.outbox', 'row:' || n, 0, 'parked', 'x' FROM unnest($1::int8[]) n RETURNING id) "
        "INSERT INTO pillion.held_row (feed, key, bucket, row_id) "
        "SELECT 'pillion.outbox', id, 0, substr(id, 5)::int8 FROM k",
        [7, 1108],
    )
    await bench.service.execute("UPDATE pillion.bucket SET base = pg_current_snapshot() WHERE bucket <> 5")
    unsent = {number for number in range(1, 2501) if number % 64 == 5}
    assert await cleaner.round() == 2500 - len(unsent | {7, 1108})
    left = {row["id"] for row in await bench.service.fetch("SELECT id FROM pillion.outbox")}
    assert left == unsent | {7, 1108}
    assert {7, 1108} - unsent, "one that is held would else be kept for another reason"
    # What is left at the front keeps no later round from what comes behind it.
    await bench.service.execute("DELETE FROM pillion.held_row WHERE row_id = 1108")
    assert await cleaner.round() == 1


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
