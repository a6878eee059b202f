"""Outbox tables that are partitioned: by time, in several levels, with partitions that come and go."""

import asyncio
import itertools

import pytest

from agent.config.sections.outbox import Outbox, Table
from agent.outbox.adoption import Adopter
from agent.outbox.database import Database
from agent.outbox.relay import boot_clock
from agent.outbox.sql.facts import gather
from agent.outbox.sql.install import SESSION
from agent.outbox.sql.plan import names, removal
from agent.outbox.sql.steps import script
from agent.runtime.errors import Misconfigured
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_init import psql

TABLE = """
CREATE TABLE ob (id uuid DEFAULT gen_random_uuid(), key text, payload json, day int) PARTITION BY RANGE (day);
CREATE TABLE ob_1 PARTITION OF ob FOR VALUES FROM (1) TO (2);
CREATE TABLE ob_rest PARTITION OF ob FOR VALUES FROM (2) TO (9) PARTITION BY LIST (day);
CREATE TABLE ob_2 PARTITION OF ob_rest FOR VALUES IN (2);
CREATE TABLE ob_3 PARTITION OF ob_rest DEFAULT"""
INSERT = "INSERT INTO ob (key, payload, day) VALUES ('k', $1::int::text::json, $2)"
INDEXES = """
SELECT count(*) FILTER (WHERE indisvalid) AS valid, count(*) AS total FROM pg_index i
WHERE i.indrelid IN (SELECT relid FROM pg_partition_tree('ob'))"""


def settings_of(bench: Bench, **more: object) -> Outbox:
    return bench.settings(tables=(Table(table="ob"),), **more)


async def write(bench: Bench, numbers: range) -> None:
    for number, day in zip(numbers, itertools.cycle((1, 2, 3)), strict=False):
        await bench.service.execute(INSERT, number, day)


async def test_rows_of_all_partitions_are_published_in_one_order(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    settings = settings_of(bench, page=10)
    await bench.init(settings)
    assert await bench.init(settings) == 0
    await write(bench, range(40))
    async with bench.relay(settings):
        assert [each.data for each in await bench.until_arrived(40)] == list(range(40))
        await bench.service.execute("CREATE TABLE ob_9 PARTITION OF ob FOR VALUES FROM (9) TO (10)")
        await bench.service.execute(INSERT, 40, 9)
        await bench.service.execute(INSERT.replace("INTO ob ", "INTO ob_9 "), 41, 9)
        assert [each.data for each in await bench.until_arrived(42)] == list(range(42))
    assert tuple(await bench.service.fetchrow(INDEXES)) == (12, 12), "two indexes on each of six tables"
    assert await bench.init(settings) == 0


@pytest.mark.parametrize("existing", ["publish", "ignore"])
async def test_rows_that_are_there_are_published_or_not_as_was_said(bench: Bench, existing: str) -> None:
    await bench.service.execute(TABLE)
    await write(bench, range(30))
    settings = settings_of(bench, page=10)
    await bench.init(settings, existing)
    await write(bench, range(30, 33))
    expected = {*range(33)} if existing == "publish" else {*range(30, 33)}
    async with bench.relay(settings):
        arrived = [each.data for each in await bench.until_arrived(len(expected))]
    assert set(arrived) == expected
    assert arrived[-3:] == [30, 31, 32]


async def test_preparing_goes_on_wherever_it_was_interrupted(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    await write(bench, range(9))
    settings = settings_of(bench)
    total = len(await bench.installer(settings).steps("publish"))
    for done in range(total):
        steps = await bench.installer(settings).steps("publish")
        async with Database(lambda: bench.url, settings=SESSION).connection() as connection:
            await bench.installer(settings).run(connection, steps[: done + 1])
        if done == 1:
            # It gets the index that is only noted on the table so far, by PostgreSQL itself.
            await bench.service.execute("CREATE TABLE ob_9 PARTITION OF ob FOR VALUES FROM (9) TO (10)")
    assert await bench.init(settings) == 0
    assert tuple(await bench.service.fetchrow(INDEXES)) == (12, 12)


async def test_the_printed_sql_prepares_it_and_takes_it_out_again(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    await write(bench, range(3))
    settings = settings_of(bench)
    await psql(bench, script(await bench.installer(settings).steps("publish")))
    assert await bench.init(settings) == 0
    async with Database(lambda: bench.url).connection() as connection:
        steps = removal(settings, await gather(connection, settings.schema, names(settings)))
    await psql(bench, script(steps))
    assert tuple(await bench.service.fetchrow(INDEXES)) == (0, 0)
    columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'ob_2'::regclass AND attnum > 0 AND NOT attisdropped"
    assert await bench.service.fetchval(columns) == 4


async def test_a_failed_build_on_one_partition_is_built_anew(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    settings = settings_of(bench)
    steps = await bench.installer(settings).steps(None)
    until_joined = next(n for n, step in enumerate(steps) if "ATTACH PARTITION" in step.sql)
    async with Database(lambda: bench.url, settings=SESSION).connection() as connection:
        await bench.installer(settings).run(connection, steps[:until_joined])
    await bench.service.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pillion_ob_2_xid'::regclass"
    )
    await bench.init(settings)
    assert tuple(await bench.service.fetchrow(INDEXES)) == (10, 10)


async def test_the_walk_over_the_partitions_uses_their_indexes(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    settings = settings_of(bench)
    await bench.init(settings)
    await bench.service.execute("SET enable_seqscan = off")
    plan = await bench.service.fetch(
        "EXPLAIN SELECT * FROM ob WHERE pillion_id > 5 ORDER BY pillion_id LIMIT 10"
    )
    told = "\n".join(row[0] for row in plan)
    assert "Index Scan" in told
    assert "Sort  " not in told


async def test_a_partition_is_refused_for_the_table(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    with pytest.raises(Misconfigured, match="is a partition: name the partitioned table"):
        await bench.init(bench.settings(tables=(Table(table="ob_1"),)))


async def test_writers_go_on_while_it_is_prepared(bench: Bench) -> None:
    await bench.service.execute(TABLE)
    settings = settings_of(bench)
    ends, numbers = asyncio.Event(), itertools.count()
    written: list[int] = []

    async def work() -> None:
        connection = await bench.connect()
        while not ends.is_set():
            number = next(numbers)
            await connection.execute(INSERT, number, 1 + number % 3)
            written.append(number)
            # All have one key, so they go out one by one: no more than can be awaited.
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    await bench.init(settings, "publish")
    ends.set()
    await asyncio.gather(*tasks)
    async with bench.relay(settings):
        assert {each.data for each in await bench.until_arrived(len(written), within=120)} == set(written)


STATES = """
SELECT tgrelid::regclass::text, tgname::text, tgenabled::text FROM pg_trigger
WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('ob')) ORDER BY 1, 2"""


async def test_it_is_adopted_with_all_its_partitions_and_their_own_triggers_neither_see_it_nor_change(
    bench: Bench,
) -> None:
    await bench.service.execute(TABLE)
    await bench.service.execute(
        """
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'append only'; END $$;
        CREATE TRIGGER whole BEFORE UPDATE ON ob FOR EACH ROW EXECUTE FUNCTION no();
        CREATE TRIGGER lone BEFORE UPDATE ON ob_2 FOR EACH ROW EXECUTE FUNCTION no();
        ALTER TABLE ob_2 ENABLE ALWAYS TRIGGER lone;
        ALTER TABLE ob_3 DISABLE TRIGGER whole;
        """
    )
    settings = settings_of(bench, page=10)
    await bench.init(settings)
    async with bench.relay(settings):
        await write(bench, range(30))
        await bench.until_arrived(30)
    await write(bench, range(30, 60))
    before = await bench.service.fetch(STATES)
    # As in a cluster whose transactions are far behind the rows'.
    triggers = "ALTER TABLE ob {0} TRIGGER whole; ALTER TABLE ob_2 {0} TRIGGER lone"
    await bench.service.execute(triggers.format("DISABLE"))
    await bench.service.execute("UPDATE ob SET xid = (xid::text::int8 + 900000000)::text::xid8")
    await bench.service.execute(
        "UPDATE pillion.bucket SET base = (SELECT format('%1$s:%1$s:', max(xid::text::int8) + 1)::pg_snapshot FROM ob "
        "WHERE (payload::text)::int < 30); UPDATE pillion.feed SET system_id = '1'"
    )
    await bench.service.execute(
        triggers.format("ENABLE")
        + "; ALTER TABLE ob_2 ENABLE ALWAYS TRIGGER lone; ALTER TABLE ob_3 DISABLE TRIGGER whole"
    )
    assert await bench.service.fetch(STATES) == before
    database = Database(lambda: bench.url, settings=SESSION)
    (done,) = await Adopter(database, settings, bench.said.append, 10.0, boot_clock).adopt("restored")
    assert (done.published, done.unpublished + done.written) == (30, 30)
    assert await bench.service.fetch(STATES) == before
    async with bench.relay(settings):
        await write(bench, range(60, 70))
        assert [each.data for each in await bench.until_arrived(70)] == list(range(70))
