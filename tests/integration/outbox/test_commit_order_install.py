"""Preparing a table for the order of commit: its rights, its partitions, what stands in the way, and out again."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from agent.config.sections.outbox import Table
from agent.outbox.adoption import Adopter
from agent.outbox.database import Database
from agent.outbox.names import Name
from agent.outbox.relay import boot_clock
from agent.outbox.sql.facts import gather
from agent.outbox.sql.install import SESSION, Installer
from agent.outbox.sql.plan import names, outboxes, removal
from agent.outbox.sql.steps import script
from agent.runtime.errors import Misconfigured, PillionError
from tests.integration.outbox import clusters
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_commit_order import (
    NOTE,
    OB,
    PARTS,
    crossed,
    prepared,
    published,
    settings_of,
)
from tests.integration.outbox.test_init import psql
from tests.waiting import until

TRIGGER = "SELECT count(*) FROM pg_trigger WHERE tgname = '!pillion_commit'"
HAS = "SELECT has_column_privilege('pillion_owner', 'ob', $1, $2)"


async def test_the_functions_owner_may_set_numbers_and_read_no_event(bench: Bench) -> None:
    await prepared(bench)
    may = {
        (column, what): await bench.service.fetchval(HAS, column, what)
        for column in ("xid", "pillion_id", "key", "payload") for what in ("SELECT", "UPDATE", "INSERT")
    }  # fmt: skip
    assert {each for each, is_so in may.items() if is_so} == {
        ("xid", "SELECT"),
        ("pillion_id", "SELECT"),
        ("pillion_id", "UPDATE"),
    }
    assert not await bench.service.fetchval(
        "SELECT has_table_privilege('pillion_owner', 'ob', 'DELETE, TRUNCATE')"
    )
    owner = "SELECT proowner::regrole::text FROM pg_proc WHERE proname LIKE 'number_%'"
    assert await bench.service.fetchval(owner) == "pillion_owner"


async def test_a_service_that_may_only_insert_commits_as_before(bench: Bench) -> None:
    settings = await prepared(bench)
    role = f"writer_{bench.stream}"
    await bench.service.execute(f"CREATE ROLE {role} LOGIN; GRANT INSERT ON ob TO {role}")
    # The number's default is taken with the writer's own rights.
    await bench.service.execute(f"GRANT USAGE ON SEQUENCE pillion_ob_seq TO {role}")
    writer = await asyncpg.connect(bench.url.replace("postgres@", f"{role}@"))
    try:
        await writer.execute(NOTE, "a")
        assert await published(bench, settings, 1) == ["a"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute("UPDATE ob SET pillion_id = 1")
    finally:
        await writer.close()
        await bench.service.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_an_installer_who_only_owns_the_table_needs_nobody_else(bench: Bench) -> None:
    role = f"owner_{bench.stream}"
    await bench.service.execute(f"CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}")
    await bench.service.execute(f"GRANT CREATE ON DATABASE {bench.url.rpartition('/')[2]} TO {role}")
    url = bench.url.replace("postgres@", f"{role}@")
    owner = await asyncpg.connect(url)
    try:
        await owner.execute(OB)
        settings = settings_of(bench)
        installer = Installer(Database(lambda: url, settings=SESSION), settings, bench.said.append, 20.0)
        assert await installer.install(None) > 0
        assert await installer.install(None) == 0
        await owner.execute(NOTE, "a")
        assert await published(bench, settings, 1) == ["a"]
    finally:
        await owner.close()
        await bench.service.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def test_a_partition_that_comes_later_is_numbered_through_its_root_until_init_sees_it(
    bench: Bench,
) -> None:
    settings = await prepared(bench, ddl=PARTS)
    await bench.service.execute("CREATE TABLE ob_9 PARTITION OF ob FOR VALUES FROM (9) TO (10)")
    await bench.service.execute("ALTER TABLE ob ALTER COLUMN day SET DEFAULT 9")
    await crossed(bench)
    assert await bench.init(settings) == 1, "the right to the new partition"
    assert await bench.init(settings) == 0
    assert await published(bench, settings, 2) == ["early", "late"]
    assert await bench.service.fetchval(HAS.replace("'ob'", "'ob_9'"), "pillion_id", "UPDATE")
    await bench.service.execute(NOTE, "last")
    assert await published(bench, settings, 3) == ["early", "late", "last"]


async def test_rows_that_are_there_are_published_first(bench: Bench) -> None:
    await bench.service.execute(OB)
    await bench.service.execute(NOTE, "old")
    settings = settings_of(bench)
    await bench.init(settings, "publish")
    await bench.service.execute(NOTE, "new")
    assert await published(bench, settings, 2) == ["old", "new"]


async def test_writers_go_on_while_it_is_prepared_and_nothing_of_theirs_is_lost(bench: Bench) -> None:
    await bench.service.execute(OB)
    settings = settings_of(bench)
    ends, written = asyncio.Event(), 0

    async def work() -> None:
        nonlocal written
        connection = await bench.connect()
        while not ends.is_set():
            await connection.execute(NOTE, "a")
            written += 1
            # All have one key, so they go out one by one: no more than can be awaited.
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    await until(lambda: written > 20, within=30)
    await bench.init(settings, "publish")
    before = written
    await until(lambda: written > before + 20, within=30)
    ends.set()
    await asyncio.gather(*tasks)
    assert len(await published(bench, settings, written)) == written


async def test_a_number_of_the_services_own_is_never_changed(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)")
    settings = settings_of(bench)
    await bench.init(settings)
    for text in ("a", "b"):
        await bench.service.execute(NOTE, text)
    assert [row["id"] for row in await bench.service.fetch("SELECT id FROM ob ORDER BY id")] == [1, 2]
    assert await published(bench, settings, 2) == ["a", "b"]


async def test_a_table_that_is_read_by_its_own_number_must_be_prepared_anew(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)")
    await bench.init(settings_of(bench, "statement"))
    with pytest.raises(Misconfigured, match=r"sql --remove.*--existing ignore"):
        await bench.init(settings_of(bench))


async def test_the_order_of_a_table_can_be_changed_and_changed_back(bench: Bench) -> None:
    before = await prepared(bench, "statement")
    assert await bench.service.fetchval(TRIGGER) == 0
    after = settings_of(bench)
    assert await bench.init(after) == 1
    await crossed(bench)
    assert await published(bench, after, 2) == ["early", "late"]
    assert await bench.init(before) == 1
    assert await bench.service.fetchval(TRIGGER) == 0
    await crossed(bench)
    assert await published(bench, before, 4) == ["early", "late", "late", "early"]


async def test_a_relay_publishes_nothing_in_an_order_that_is_not_there(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute("ALTER TABLE ob DISABLE TRIGGER ALL")
    await bench.service.execute(NOTE, "a")
    async with bench.relay(settings) as relay:

        async def said() -> bool:
            return "not numbered at the commit" in (await relay.status())[0].problem

        await until(said)
        assert await bench.count() == 0
        assert await bench.init(settings) == 1
        assert [each.data for each in await bench.until_arrived(1)] == ["a"]


@pytest.mark.parametrize(
    ("ddl", "told"),
    [
        (
            "CREATE TRIGGER t AFTER UPDATE ON ob FOR EACH ROW EXECUTE FUNCTION f()",
            "its trigger t runs at every UPDATE",
        ),
        ("ALTER TABLE ob ENABLE ROW LEVEL SECURITY", "has row security"),
        ("CREATE TABLE heir () INHERITS (ob)", "that inherit from public.ob"),
        ("ALTER TABLE ob DROP CONSTRAINT ob_pkey; CREATE PUBLICATION p FOR TABLE ob", "published by logical"),
    ],
)
async def test_what_would_make_the_services_commit_fail_is_refused(bench: Bench, ddl: str, told: str) -> None:
    await bench.service.execute(
        f"{OB}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; {ddl}"
    )
    with pytest.raises(Misconfigured, match=told):
        await bench.init(settings_of(bench))
    await bench.init(settings_of(bench, "statement"))


async def test_a_trigger_of_the_services_on_other_columns_is_in_nobodys_way(bench: Bench) -> None:
    await bench.service.execute(
        f"{OB}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';"
        "CREATE TRIGGER t AFTER UPDATE OF payload ON ob FOR EACH ROW EXECUTE FUNCTION f()"
    )
    settings = settings_of(bench)
    await bench.init(settings)
    await bench.service.execute(NOTE, "a")
    assert await published(bench, settings, 1) == ["a"]


@pytest.mark.parametrize("ddl", [OB, PARTS], ids=["plain", "partitioned"])
async def test_the_printed_sql_prepares_it_and_takes_it_out_without_a_trace(bench: Bench, ddl: str) -> None:
    await bench.service.execute(ddl)
    traces = "SELECT nspacl::text FROM pg_namespace WHERE nspname = 'public'"
    before = await bench.service.fetchval(traces)
    settings = settings_of(bench)
    await psql(bench, script(await bench.installer(settings).steps(None)))
    assert await bench.init(settings) == 0
    await bench.service.execute(NOTE, "a")
    async with Database(lambda: bench.url).connection() as connection:
        facts = await gather(connection, settings.schema, names(settings), outboxes(settings))
    await psql(bench, script(removal(settings, facts)))
    assert await bench.service.fetchval(TRIGGER) == 0
    assert await bench.service.fetchval(traces) == before
    await bench.service.execute(NOTE, "b")
    left = "SELECT count(*) FROM pg_attribute WHERE attacl IS NOT NULL AND NOT attisdropped AND attrelid = $1::regclass"
    assert await bench.service.fetchval(left.replace("$1", "'ob'")) == 0


@pytest.mark.parametrize("spoilt", ["OWNER TO postgres", "SECURITY INVOKER", "RESET search_path"])
async def test_a_function_that_was_given_other_rights_is_put_right(bench: Bench, spoilt: str) -> None:
    settings = await prepared(bench)
    name = await bench.service.fetchval(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'number_%'"
    )
    await bench.service.execute(f"ALTER FUNCTION {name} {spoilt}")
    assert await bench.init(settings) == 1
    assert await bench.init(settings) == 0
    owners = (
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'pillion'::regnamespace"
    )
    assert [row[0] for row in await bench.service.fetch(owners)] == ["pillion_owner"]
    await crossed(bench)
    assert await published(bench, settings, 2) == ["early", "late"]


async def test_rights_that_a_restore_lost_are_given_again(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute("REVOKE ALL (pillion_id) ON ob FROM pillion_owner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bench.service.execute(NOTE, "a")
    assert await bench.init(settings) == 1
    await bench.service.execute(NOTE, "b")
    assert await published(bench, settings, 1) == ["b"]


async def test_a_number_that_nothing_gives_any_more_stops_the_commit_and_loses_nothing(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute("ALTER TABLE ob ALTER COLUMN pillion_id DROP DEFAULT")
    with pytest.raises(asyncpg.RaiseError, match=r"nothing numbers the rows of public\.ob any more"):
        await bench.service.execute("INSERT INTO ob (key, pillion_id, payload) VALUES ('k', 7, '1')")
    await bench.service.execute(
        "ALTER TABLE ob ALTER COLUMN pillion_id SET DEFAULT nextval('pillion_ob_seq')"
    )
    await bench.service.execute(NOTE, "b")
    assert await published(bench, settings, 1) == ["b"]


async def test_a_table_that_is_called_otherwise_by_now_still_commits_and_keeps_its_order(
    bench: Bench,
) -> None:
    await prepared(bench)
    await bench.service.execute(
        "ALTER TABLE ob RENAME TO old; ALTER TABLE old RENAME TO ob; ALTER TABLE ob RENAME TO old"
    )
    await bench.service.execute(OB)
    await bench.service.execute(NOTE.replace("INTO ob", "INTO old"), "a")
    before = await bench.service.fetchval("SELECT pillion_id FROM old")
    assert before == 2**40 + 1, "it was numbered anew, where it is now"


async def test_a_restored_table_is_numbered_at_the_commit_at_once_and_relayed_when_it_is_adopted(
    bench: Bench, short_folder: Path
) -> None:
    settings = await prepared(bench)
    await bench.service.execute(NOTE, "before")
    short_folder.chmod(0o777)
    await clusters.tool("pg_dump", "-Fc", "-f", str(short_folder / "dump"), bench.url)
    name = bench.url.rpartition("/")[2]
    await bench.service.execute(f"CREATE DATABASE {name}_new TEMPLATE template0")
    bench.url += "_new"
    try:
        await clusters.restore(short_folder / "dump", bench.url)
        await bench.open()
        await crossed(bench)
        settings = msgspec.structs.replace(settings, database=bench.url)
        assert await bench.init(settings) == 0
        database = Database(lambda: bench.url, settings=SESSION)
        await Adopter(database, settings, bench.said.append, 20.0, boot_clock).adopt("restored")
        assert await published(bench, settings, 3) == ["before", "early", "late"]
    finally:
        admin = await asyncpg.connect(bench.url.removesuffix("_new"))
        await admin.execute(f"DROP DATABASE {name}_new WITH (FORCE)")
        await admin.close()


async def test_what_stands_in_the_way_is_found_on_partitions_too(bench: Bench) -> None:
    await bench.service.execute(f"{PARTS}; ALTER TABLE ob_2 ENABLE ROW LEVEL SECURITY")
    settings = settings_of(bench)
    async with Database(lambda: bench.url).connection() as connection:
        facts = await gather(connection, settings.schema, names(settings), outboxes(settings))
    assert facts.tables[Name("public", "ob")].obstacles.secured == (Name("public", "ob_2"),)
    with pytest.raises(PillionError, match=r"public\.ob_2 has row security"):
        await bench.init(settings)


def test_a_table_keeps_the_order_of_its_statements_unless_it_is_said() -> None:
    table: Any = Table(table="ob")
    assert table.order == "statement"
