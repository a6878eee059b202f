"""Everything that `pillion doctor` says of the outbox, provoked on a real server."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import yaml

from agent.cli.doctor import command
from agent.cli.errors import ended
from agent.config.sections.outbox import Changes, Outbox, Table
from agent.demo import backing
from agent.outbox.checkup import Remark
from agent.outbox.checkup.run import examine
from agent.outbox.database import PINNED, Database
from agent.outbox.reader import PLANNER
from agent.outbox.sql import VERSION
from tests.integration.outbox import clusters
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.pgbouncer import PgBouncer
from tests.integration.outbox.test_commit_order import PARTS
from tests.waiting import until

TABLES = """
CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), key text, payload jsonb);
CREATE TABLE orders (id int PRIMARY KEY)"""


async def prepared(bench: Bench, ddl: str = TABLES, **more: Any) -> Outbox:
    await bench.service.execute(ddl)
    settings = bench.settings(
        tables=(Table(table="ob", order="commit"),), changes=(Changes(table="orders"),), **more
    )
    await bench.init(settings)
    return settings


async def looked(settings: Outbox, url: str = "", *, ahead: float = 0.0, long: float = 60.0) -> list[Remark]:
    database = Database(lambda: url or settings.database, timeout=30.0, settings=PLANNER)
    return await examine(database, settings, lambda: time.time() + ahead, long)


def wrong(found: list[Remark]) -> list[Remark]:
    """What is to be done; that the tests' role is a superuser is known."""
    return [
        each for each in found if each.level in ("warning", "problem") and "is a superuser" not in each.found
    ]


async def only(bench: Bench, settings: Outbox, **more: Any) -> Remark:
    """The one thing that is wrong."""
    (found,) = wrong(await looked(settings, **more))
    assert found.todo.endswith(".") or found.todo.endswith("did."), found
    return found


async def test_a_database_that_is_prepared_and_at_rest_has_nothing_wrong(bench: Bench) -> None:
    settings = await prepared(bench)
    found = await looked(settings)
    assert wrong(found) == []
    assert {each.id for each in found} == {
        "outbox.clock", "outbox.database", "outbox.functions", "outbox.index", "outbox.pooler", "outbox.prepared",
        "outbox.rights", "outbox.sequence", "outbox.transactions", "outbox.triggers",
    }  # fmt: skip


async def test_a_role_that_only_relays_sees_all_of_it_and_is_told_what_it_lacks(bench: Bench) -> None:
    settings = await prepared(bench)
    role = f"relay_{bench.stream}"
    await bench.service.execute(f"CREATE ROLE {role} LOGIN")
    url = bench.url.replace("postgres@", f"{role}@")
    try:
        (found,) = [each for each in await looked(settings, url) if each.id == "outbox.rights"]
        assert (found.level, found.subject) == ("problem", f"the rights of the role {role}")
        assert "USAGE on the schema pillion" in found.found
        assert "SELECT on public.ob" in found.found
        assert f"outbox sql --role {role}" in found.todo
        await bench.init(settings, role=role)
        assert [each for each in await looked(settings, url) if each.level != "ok"] == []
        await bench.service.execute(f"REVOKE UPDATE ON pillion.bucket FROM {role}")
        (found,) = wrong(await looked(settings, url))
        assert found.found == "it lacks UPDATE on pillion.bucket"
    finally:
        await bench.service.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_that_the_relay_is_a_superuser_is_told(bench: Bench) -> None:
    (found,) = [each for each in await looked(await prepared(bench)) if each.id == "outbox.rights"]
    assert (found.level, found.found) == ("warning", "it is a superuser and may do anything")


async def test_a_database_that_was_not_prepared_is_told(bench: Bench) -> None:
    await bench.service.execute(TABLES)
    found = await only(bench, bench.settings(tables=(Table(table="ob"),)))
    assert (found.id, found.todo) == ("outbox.rights", "Run `pillion outbox init`.")
    assert found.found.startswith("there is no pillion.feed")


async def test_a_feed_that_is_new_in_the_settings_is_told(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute("CREATE TABLE more (id uuid PRIMARY KEY, payload json)")
    settings = msgspec.structs.replace(settings, tables=(*settings.tables, Table(table="more")))
    found = wrong(await looked(settings))
    assert [(each.id, each.subject) for each in found] == [
        ("outbox.prepared", "the outbox public.more"), ("outbox.sequence", "what numbers the rows of public.more")
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "level"), [(VERSION - 1, "warning"), (VERSION + 1, "problem")])
async def test_a_schema_of_another_version_is_told(bench: Bench, version: int, level: str) -> None:
    settings = await prepared(bench)
    await bench.service.execute(f"UPDATE pillion.version SET version = {version}")
    found = [each for each in wrong(await looked(settings)) if each.id == "outbox.prepared"]
    assert [each.level for each in found] == [level, level]
    assert f"of version {version}" in found[0].found


async def test_a_database_that_was_restored_is_told(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute("UPDATE pillion.feed SET relation = 1")
    found = [each for each in wrong(await looked(settings)) if each.id == "outbox.prepared"]
    assert len(found) == 2
    assert "adopt" in found[0].todo


@pytest.mark.parametrize(
    ("ddl", "told"),
    [
        ("ALTER SEQUENCE pillion_ob_seq CACHE 20", "has CACHE 20"),
        ("ALTER SEQUENCE pillion_ob_seq INCREMENT 5", "INCREMENT 5"),
        ("ALTER SEQUENCE pillion_ob_seq CYCLE", "CYCLE"),
        ("ALTER TABLE ob ALTER COLUMN pillion_id DROP DEFAULT", "no sequence fills its column pillion_id"),
        ("ALTER SEQUENCE pillion.outbox_id CACHE 20", "pillion.outbox_id has CACHE 20"),
    ],
)
async def test_numbers_that_are_given_out_in_another_order_are_told(
    bench: Bench, ddl: str, told: str
) -> None:
    settings = await prepared(bench)
    await bench.service.execute(ddl)
    found = [each for each in wrong(await looked(settings)) if each.id == "outbox.sequence"]
    assert len(found) == 1
    assert told in found[0].found


@pytest.mark.parametrize(
    "ddl",
    [
        "DROP INDEX pillion_ob_xid",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pillion_ob_xid'::regclass",
        "DROP INDEX pillion_ob_id",
    ],
)
async def test_an_index_that_is_missing_or_broken_is_told(bench: Bench, ddl: str) -> None:
    settings = await prepared(bench)
    await bench.service.execute(ddl)
    found = await only(bench, settings)
    assert found.id == "outbox.index"
    assert "each poll reads the whole table" in found.found


async def test_a_poll_that_would_read_a_whole_large_table_is_told(bench: Bench) -> None:
    """As when the index was made while rows were updated: what was open then keeps it from being used."""
    settings = await prepared(bench)
    await bench.service.execute(
        "INSERT INTO ob (payload) SELECT to_jsonb(repeat('x', 1500)) FROM generate_series(1, 6000)"
    )
    assert wrong(await looked(settings)) == []
    other = await asyncpg.connect(bench.url)
    try:
        async with other.transaction():
            await other.execute("SELECT pg_current_xact_id()")
            await bench.service.execute(
                "UPDATE pg_index SET indcheckxmin = true WHERE indexrelid = 'pillion_ob_xid'::regclass"
            )
            found = await only(bench, settings)
            assert (found.id, found.level) == ("outbox.index", "warning")
            assert found.found == "PostgreSQL would read all of ob at each poll, though there is an index"
        assert wrong(await looked(settings)) == []
    finally:
        await other.close()


@pytest.mark.parametrize(
    ("ddl", "told"),
    [
        ("ALTER TABLE orders DISABLE TRIGGER ALL", "is disabled: changes are no events"),
        ('DROP TRIGGER "!pillion_row" ON orders', "is missing: changes are no events"),
        ('DROP TRIGGER "!pillion_commit" ON ob', "is missing: events get their place as they are written"),
    ],
)
async def test_triggers_that_are_off_or_gone_are_told(bench: Bench, ddl: str, told: str) -> None:
    settings = await prepared(bench)
    await bench.service.execute(ddl)
    found = [each for each in wrong(await looked(settings)) if each.id == "outbox.triggers"]
    assert len(found) == 1
    assert told in found[0].found
    await bench.init(settings)
    assert wrong(await looked(settings)) == []


async def test_a_trigger_that_is_off_on_one_partition_is_told(bench: Bench) -> None:
    settings = await prepared(bench, f"{PARTS}; CREATE TABLE orders (id int PRIMARY KEY)")
    assert wrong(await looked(settings)) == []
    await bench.service.execute('ALTER TABLE ob_2 DISABLE TRIGGER "!pillion_commit"')
    found = await only(bench, settings)
    assert found.found.startswith("disabled on the partitions public.ob_2")


async def test_triggers_of_other_settings_are_told(bench: Bench) -> None:
    settings = await prepared(bench)
    settings = msgspec.structs.replace(settings, changes=(Changes(table="orders", types={"insert": "new"}),))
    found = await only(bench, settings)
    assert (found.id, found.level) == ("outbox.triggers", "warning")


@pytest.mark.parametrize(
    ("ddl", "told"),
    [
        ("ALTER FUNCTION pillion.capture() OWNER TO postgres", "a superuser's rights"),
        ("ALTER FUNCTION pillion.capture() SECURITY INVOKER", "do not run as they were made to"),
        ("REVOKE INSERT ON pillion.outbox FROM pillion_owner", "their owner lacks a right"),
    ],
)
async def test_functions_with_other_rights_are_told(bench: Bench, ddl: str, told: str) -> None:
    settings = await prepared(bench)
    await bench.service.execute(ddl)
    found = await only(bench, settings)
    assert (found.id, found.level) == ("outbox.functions", "problem")
    assert told in found.found


@pytest.mark.parametrize(("ahead", "which"), [(3600.0, "ahead of"), (-3600.0, "behind")])
async def test_clocks_that_are_apart_are_told(bench: Bench, ahead: float, which: str) -> None:
    found = await only(bench, await prepared(bench), ahead=ahead)
    assert (found.id, found.level) == ("outbox.clock", "warning")
    assert f"s {which} the database's" in found.found


async def test_transactions_that_are_open_for_long_are_told_with_who_has_them(bench: Bench) -> None:
    settings = await prepared(bench)
    late = await bench.connect()
    await late.execute("BEGIN; INSERT INTO orders VALUES (1)")
    pid = await late.fetchval("SELECT pg_backend_pid()")
    assert wrong(await looked(settings)) == []
    await asyncio.sleep(0.3)
    found = await only(bench, settings, long=0.2)
    assert (found.id, found.subject) == ("outbox.transactions", f"the transaction of process {pid}")
    assert "(service, role postgres, idle in transaction): its events wait" in found.found
    await late.execute("PREPARE TRANSACTION 'told'")
    await asyncio.sleep(0.3)
    found = await only(bench, settings, long=0.2)
    assert found.subject == "the prepared transaction told"
    await late.execute("ROLLBACK PREPARED 'told'")
    assert wrong(await looked(settings, long=0.2)) == []


AT_WORK = """
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = current_database()
AND xact_start < clock_timestamp() - interval '0.3 s'"""


async def test_postgresql_that_clears_away_dead_rows_for_long_is_nobodys_transaction(
    short_folder: Path, bench: Bench
) -> None:
    short_folder.chmod(0o777)
    slow = {
        "autovacuum_naptime": "1s",
        "autovacuum_vacuum_cost_delay": "100ms",
        "autovacuum_vacuum_cost_limit": "1",
    }
    server = backing.Postgres(short_folder / "slow", settings={"fsync": "off", **slow})
    await asyncio.to_thread(server.start)
    bench.url = server.url
    try:
        await bench.open()
        settings = await prepared(bench)
        await bench.service.execute("INSERT INTO orders SELECT generate_series(1, 5000); DELETE FROM orders")

        async def at_work() -> bool:
            return bool(await bench.service.fetchval(AT_WORK))

        await until(at_work, within=60)
        found = await looked(settings, long=0.2)
        assert await at_work(), "it had ended before it was looked for"
        assert [each.level for each in found if each.id == "outbox.transactions"] == ["ok"]
    finally:
        await asyncio.to_thread(server.kill)


async def test_what_is_no_server_is_told_without_its_password(bench: Bench) -> None:
    settings = await prepared(bench)
    (found,) = await looked(settings, "postgresql://u:hunter2@127.0.0.1:9/x")
    assert (found.id, found.level) == ("outbox.database", "problem")
    assert "hunter2" not in str(found)


async def test_a_standby_is_told(short_folder: Path, bench: Bench) -> None:
    short_folder.chmod(0o777)
    first = await clusters.cluster(short_folder / "first")
    try:
        folder = short_folder / "standby"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        where = ("-h", "127.0.0.1", "-p", str(first.port), "-U", "postgres")
        await clusters.tool("pg_basebackup", *where, "--checkpoint=fast", "-R", "-D", str(folder / "data"))
        second = await clusters.cluster(folder, create=False)
        try:
            settings = bench.settings(changes=(Changes(table="orders"),))
            found = await looked(settings, second.database(clusters.DATABASE))
            assert [each.found for each in wrong(found)] == ["it is a standby"]
        finally:
            await asyncio.to_thread(second.kill)
    finally:
        await asyncio.to_thread(first.kill)


PASSED = ", ".join(
    each for each in PINNED | PLANNER if each not in ("application_name", "timezone", "datestyle")
)


@pytest.mark.parametrize(
    ("mode", "ignored", "told"),
    [
        ("transaction", PASSED, "gives another server process to each transaction"),
        ("session", PASSED, "drops settings that reading relies on: plan_cache_mode"),
        ("session", "extra_float_digits", "refuses the settings that reading relies on"),
    ],
)
async def test_a_pooler_that_a_relay_cannot_work_through_is_told(
    bench: Bench, short_folder: Path, mode: str, ignored: str, told: str
) -> None:
    settings = await prepared(bench)
    short_folder.chmod(0o777)
    pooler = PgBouncer(short_folder, bench.url, mode, ignored)
    await asyncio.to_thread(pooler.start)
    try:
        # It knows that the way through works at all.
        client = await asyncpg.connect(pooler.url, statement_cache_size=0)
        await client.close()
        found = wrong(await looked(settings, pooler.url))
    finally:
        await asyncio.to_thread(pooler.stop)
    assert [each.id for each in found] == ["outbox.pooler"]
    assert told in found[0].found
    assert "pool_mode=session" in found[0].todo


async def test_the_command_tells_it_in_words_and_in_json(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await prepared(bench)
    await bench.service.execute("ALTER TABLE orders DISABLE TRIGGER ALL")
    (tmp_path / "url").write_text(bench.url)
    (tmp_path / "url").chmod(0o600)
    file = tmp_path / "pillion.yaml"
    outbox = {
        "database_file": str(tmp_path / "url"),
        "changes": [{"table": "orders"}],
        "broker": {"url": "nats://h"},
    }
    file.write_text(yaml.safe_dump({"service": {"name": "shop", "port": 80}, "outbox": outbox}))
    for words in ((), ("--json",)):
        assert await asyncio.to_thread(ended, command, ["--config", str(file), *words]) == 1
        text = capsys.readouterr().out
        assert "disabled: changes are no events" in text
        assert "pillion outbox init" in text
    told = {
        each["id"]: each["level"] for each in json.loads(text)["findings"] if each["id"].startswith("outbox.")
    }
    assert told["outbox.triggers"] == "problem"
    assert told["outbox.index"] == "ok"
