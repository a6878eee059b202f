"""Preparing a live database: once, again, in the middle of everything, and out again."""

import asyncio
import os
import subprocess
import time

import asyncpg
import msgspec
import pytest

from agent.config.sections.outbox import Changes, Outbox, Table
from agent.demo import backing
from agent.outbox.database import Database
from agent.outbox.sql.facts import gather
from agent.outbox.sql.install import SESSION
from agent.outbox.sql.plan import names, removal
from agent.outbox.sql.steps import script
from agent.runtime.errors import Misconfigured, PillionError, Transient
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.pulse import pulse
from tests.waiting import until

DEBEZIUM = """CREATE TABLE ob (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregatetype text, aggregateid text, type text, payload jsonb
)"""
ROW = "INSERT INTO ob (aggregatetype, aggregateid, type, payload) VALUES ('order', $1::text, 'made', '{}')"

CATALOGUE = """
SELECT 'class' AS what, oid::text, xmin::text FROM pg_class WHERE relnamespace <> 'pg_toast'::regnamespace
UNION ALL SELECT 'trigger', oid::text, xmin::text FROM pg_trigger
UNION ALL SELECT 'function', oid::text, xmin::text FROM pg_proc
UNION ALL SELECT 'column', attrelid || '.' || attnum, xmin::text FROM pg_attribute
UNION ALL SELECT 'feed', feed, xmin::text FROM pillion.feed
UNION ALL SELECT 'bucket', feed || bucket, xmin::text FROM pillion.bucket ORDER BY 1, 2"""


def debezium(bench: Bench, **more: object) -> Outbox:
    return bench.settings(
        tables=(Table(table="ob", preset="debezium", topic=f"{bench.stream}.{{aggregatetype}}"),), **more
    )


async def test_a_second_init_changes_nothing(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = msgspec.structs.replace(debezium(bench), changes=(Changes(table="t"),))
    assert await bench.init(settings) > 0
    before = await bench.service.fetch(CATALOGUE)
    assert await bench.init(settings) == 0
    assert await bench.service.fetch(CATALOGUE) == before


async def test_a_changed_setting_changes_the_triggers_and_no_more(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
    await bench.init(bench.settings(changes=(Changes(table="t"),)))
    assert await bench.init(bench.settings(changes=(Changes(table="t", operations=("insert",)),))) == 1
    await bench.service.execute("INSERT INTO t VALUES (1, 1); UPDATE t SET a = 2; TRUNCATE t")
    assert [row["type"] for row in await bench.outbox()] == ["t.created"]


async def test_what_becomes_of_existing_rows_must_be_said(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    await bench.service.execute(ROW, "old")
    with pytest.raises(Misconfigured, match="--existing publish"):
        await bench.init(debezium(bench))
    assert await bench.service.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'pillion'") == 0


async def test_existing_rows_are_published_before_the_new_in_their_order(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    for number in range(30):
        await bench.service.execute(ROW.replace("'{}'", f"'{number}'"), "k")
    settings = debezium(bench, page=10)
    await bench.init(settings, "publish")
    await bench.service.execute(ROW.replace("'{}'", "'30'"), "k")
    async with bench.relay(settings):
        assert [each.data for each in await bench.until_arrived(31)] == list(range(31))


async def test_ignored_rows_are_not_published_but_what_is_written_meanwhile_is(bench: Bench) -> None:
    """Writers go on while the table is prepared: what they commit after the moment of the change is news."""
    await bench.service.execute(DEBEZIUM)
    await bench.service.execute("CREATE TABLE other (x int)")
    for number in range(20):
        await bench.service.execute(ROW, f"old{number}")
    ends = asyncio.Event()
    written: list[tuple[str, bool]] = []

    async def write(number: int) -> None:
        connection = await bench.connect()
        count = 0
        while not ends.is_set():
            # Numbers are taken before the table is touched: transactions are open across the change of the
            # table.
            async with connection.transaction():
                await connection.execute("INSERT INTO other VALUES (1)")
                await asyncio.sleep(0.02)
                after = bool(
                    await connection.fetchval(
                        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'ob'::regclass AND "
                        "attname = 'xid'"
                    )
                )
                key = f"w{number}-{count}"
                await connection.execute(ROW, key)
            written.append((key, after))
            count += 1

    tasks = [asyncio.create_task(write(number)) for number in range(6)]
    settings = debezium(bench)
    await until(lambda: len(written) > 20, within=30)
    await bench.init(settings, "ignore")
    await until(lambda: sum(after for _, after in written) > 20, within=30)
    ends.set()
    await asyncio.gather(*tasks)
    news = {key for key, after in written if after}
    # All rows that the change of the table found have its number; nothing else may be left out.
    stamped = await bench.service.fetchval(
        "SELECT min(xid::text::bigint)::text FROM ob WHERE aggregateid = 'old0'"
    )
    left = {
        row["aggregateid"]
        for row in await bench.service.fetch("SELECT * FROM ob WHERE xid <> $1::text::xid8", stamped)
    }

    async def all_there() -> set[str]:
        arrived = {each.key for each in await bench.arrived()}
        assert news | left <= arrived, (news | left) - arrived
        return arrived

    async with bench.relay(settings):
        arrived = await until(all_there, within=40, every=0.2)
    assert not any(key.startswith("old") for key in arrived)


async def test_ignored_rows_are_not_published_on_a_quiet_database(bench: Bench) -> None:
    """The change of the table is the newest transaction of all then."""
    await bench.service.execute("CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload json)")
    await bench.service.execute("INSERT INTO ob (key, payload) VALUES ('old', '1')")
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings, "ignore")
    await bench.service.execute("INSERT INTO ob (key, payload) VALUES ('new', '1')")
    async with bench.relay(settings):
        assert [each.key for each in await bench.until_arrived(1)] == ["new"]


async def test_a_lock_is_waited_for_without_holding_the_service_up(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),))
    blocker, reader = await bench.connect(), await bench.connect()
    await blocker.execute("BEGIN; INSERT INTO t VALUES (1)")
    task = asyncio.create_task(bench.init(settings))
    await until(lambda: any("in the way: process" in line for line in bench.said), within=30)
    slowest = 0.0
    async with pulse(bench) as undisturbed:
        for number in range(20):
            started = time.monotonic()
            await reader.execute("INSERT INTO t VALUES ($1)", number + 10)
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.05)
    assert slowest < undisturbed.slowest + 0.3
    await blocker.execute("COMMIT")
    await task
    await reader.execute("INSERT INTO t VALUES (99)")
    assert [row["key"] for row in await bench.outbox()] == ["99"]


async def test_a_lock_that_is_never_had_says_who_is_in_the_way(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    blocker = await bench.connect()
    await blocker.execute("BEGIN; INSERT INTO t VALUES (1)")
    with pytest.raises(Transient, match=r"in the way: process \d+ \(service"):
        await bench.installer(bench.settings(changes=(Changes(table="t"),)), patience=0.5).install(None)


async def test_init_goes_on_where_it_was_interrupted(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    for number in range(10):
        await bench.service.execute(ROW.replace("'{}'", f"'{number}'"), "k")
    settings = debezium(bench)
    total = len(await bench.installer(settings).steps("publish"))
    for done in range(total):
        steps = await bench.installer(settings).steps("publish")
        async with Database(lambda: bench.url, settings=SESSION).connection() as connection:
            await bench.installer(settings).run(connection, steps[: done + 1])
    assert await bench.init(settings) == 0
    async with bench.relay(settings):
        assert [each.data for each in await bench.until_arrived(10)] == list(range(10))


async def test_what_a_failed_index_build_left_is_dropped(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    settings = debezium(bench)
    await bench.init(settings)
    await bench.service.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pillion_ob_xid'::regclass"
    )
    assert await bench.init(settings) == 2
    assert await bench.service.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'pillion_ob_xid'::regclass"
    )


async def test_the_printed_sql_is_what_init_runs(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute(ROW, "old")
    settings = msgspec.structs.replace(debezium(bench), changes=(Changes(table="t"),))
    text = script(await bench.installer(settings).steps("publish"))
    await psql(bench, text)
    assert await bench.init(settings) == 0
    await bench.service.execute("INSERT INTO t VALUES (1)")
    async with bench.relay(settings):
        await bench.until_arrived(2)


async def test_everything_can_be_taken_out_again(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    what = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    columns = (
        "SELECT attname FROM pg_attribute WHERE attrelid = 'ob'::regclass AND NOT attisdropped ORDER BY 1"
    )
    before = await bench.service.fetch(what), await bench.service.fetch(columns)
    settings = msgspec.structs.replace(debezium(bench), changes=(Changes(table="t"),))
    await bench.init(settings)
    async with Database(lambda: bench.url).connection() as connection:
        steps = removal(settings, await gather(connection, settings.schema, names(settings)))
    await psql(bench, script(steps))
    assert (await bench.service.fetch(what), await bench.service.fetch(columns)) == before
    await bench.service.execute("INSERT INTO t VALUES (1)")
    assert await bench.init(settings) > 0


async def test_a_role_with_the_granted_rights_can_relay_and_the_service_can_write(bench: Bench) -> None:
    await bench.service.execute(DEBEZIUM)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    relay, service = f"relay_{bench.stream}", f"service_{bench.stream}"
    await bench.service.execute(
        f"CREATE ROLE {relay} LOGIN; CREATE ROLE {service} LOGIN; GRANT INSERT ON ob, t TO {service}"
    )
    settings = msgspec.structs.replace(
        debezium(bench, retention=1.0), changes=(Changes(table="t", topic=f"{bench.stream}.t"),)
    )
    await bench.init(settings, role=relay)
    lower = msgspec.structs.replace(settings, database=bench.url.replace("postgres@", f"{relay}@"))
    writer = await asyncpg.connect(bench.url.replace("postgres@", f"{service}@"))
    try:
        async with bench.relay(lower) as running:
            await writer.execute(ROW, "k")
            await writer.execute("INSERT INTO t VALUES (1)")
            await bench.until_arrived(2)

            async def cleaned() -> bool:
                return not await bench.outbox()

            await until(cleaned, within=40)

            async def well() -> bool:
                return [each.problem for each in await running.status()] == ["", ""]

            await until(well)
    finally:
        await writer.close()
        await bench.service.execute(f"DROP OWNED BY {relay}, {service}; DROP ROLE {relay}, {service}")


async def test_unfit_tables_are_refused_all_at_once(bench: Bench) -> None:
    await bench.service.execute(
        """
        CREATE TABLE jumps (id bigserial PRIMARY KEY, payload text); ALTER SEQUENCE jumps_id_seq CACHE 20;
        CREATE TABLE nokey (a int);
        CREATE TABLE wrong (id bigserial, payload text, xid text);
        CREATE VIEW v AS SELECT 1 AS id;
        CREATE TABLE root (id int) PARTITION BY LIST (id);
        CREATE TABLE part PARTITION OF root FOR VALUES IN (1);
        """
    )
    settings = bench.settings(
        tables=tuple(Table(table=each) for each in ("jumps", "wrong", "absent", "nokey")),
        changes=tuple(Changes(table=each) for each in ("nokey", "v", "part", "absent")),
    )
    with pytest.raises(Misconfigured) as error:
        await bench.init(settings)
    text = str(error.value)
    for word in (
        "CACHE 1",
        "type text",
        "does not exist",
        "no column id, payload",
        "no primary key",
        "no table",
        "a partition",
    ):
        assert word in text
    assert await bench.service.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'pillion'") == 0


async def test_a_schema_that_is_not_pillions_is_left_alone(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA pillion")
    with pytest.raises(Misconfigured, match="Pillion did not make it"):
        await bench.init(bench.settings(changes=(Changes(table="t"),)))


async def test_a_relay_before_init_says_what_to_do(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),))
    async with bench.relay(settings) as relay:

        async def said() -> bool:
            return "pillion outbox init" in (await relay.status())[0].problem

        await until(said)
        await bench.init(settings)
        await bench.service.execute("INSERT INTO t VALUES (1)")
        await bench.until_arrived(1)


async def test_an_unreachable_database_says_so_without_the_password() -> None:
    with pytest.raises(PillionError) as error:
        async with Database(lambda: "postgresql://u:topsecret@127.0.0.1:1/x").connection():
            pass
    assert "connecting to the service's PostgreSQL" in str(error.value)
    assert "topsecret" not in str(error.value)


async def psql(bench: Bench, text: str) -> None:
    """Run a file of SQL as a person would."""
    tool = backing.postgres_bin() / "psql"
    done = await asyncio.to_thread(
        subprocess.run, [str(tool), bench.url, "-X", "-v", "ON_ERROR_STOP=1"], input=text, text=True,
        capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "xid", ["xid8", "xid8 DEFAULT pg_current_xact_id()", "xid8 NOT NULL DEFAULT '5'", "xid8 NOT NULL"]
)
async def test_a_column_xid_that_may_miss_the_transaction_is_refused(bench: Bench, xid: str) -> None:
    await bench.service.execute(f"CREATE TABLE ob (id bigserial PRIMARY KEY, xid {xid}, payload jsonb)")
    settings = bench.settings(tables=(Table(table="ob"),))
    with pytest.raises(Misconfigured, match="SET DEFAULT pg_current_xact_id"):
        await bench.init(settings)


async def test_a_column_xid_of_the_services_own_that_holds_the_transaction_is_taken(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE ob (id bigserial PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(), "
        "key text, payload jsonb)"
    )
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute("INSERT INTO ob (key, payload) VALUES ('k', '1')")
        assert len(await bench.until_arrived(1)) == 1


@pytest.mark.parametrize("how", ["DISABLE TRIGGER USER", 'ENABLE REPLICA TRIGGER "!pillion_row"'])
async def test_triggers_that_were_turned_off_are_turned_on_by_the_next_init(bench: Bench, how: str) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    await bench.service.execute(f"ALTER TABLE t {how}; INSERT INTO t VALUES (1)")
    assert await bench.outbox() == []
    assert await bench.init(settings) == 1
    await bench.service.execute("INSERT INTO t VALUES (2)")
    assert [row["key"] for row in await bench.outbox()] == ["2"]
    assert await bench.init(settings) == 0
