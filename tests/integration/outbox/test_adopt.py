"""``pillion outbox adopt``: when it is refused, that it is all or nothing, and what it leaves alone.

That a database is another is only written into its record here; tests of databases that were really lost are in
``test_restore``.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.config.sections.outbox import Changes, Outbox, Table
from agent.outbox.adoption import Adopted, Adopter, How
from agent.outbox.cleanup import Cleaner
from agent.outbox.database import Database
from agent.outbox.identity import ForeignError
from agent.outbox.metrics import Metrics
from agent.outbox.relay import boot_clock
from agent.outbox.sql.install import SESSION
from agent.outbox.survey import survey
from agent.runtime.errors import Permanent
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_command import file, run  # noqa: F401 - a fixture
from tests.waiting import until

OB = "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)"
FOREIGN = "UPDATE pillion.feed SET system_id = '1'"


async def adopt(bench: Bench, settings: Outbox, how: How = "restored") -> list[Adopted]:
    database = Database(lambda: bench.url, settings=SESSION)
    return await Adopter(database, settings, bench.said.append, 60.0, boot_clock).adopt(how)


async def changes(bench: Bench, **more: Any) -> Outbox:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t", topic=f"{bench.stream}.t"),), **more)
    await bench.init(settings)
    return settings


async def everything(bench: Bench) -> list[Any]:
    """All that an adoption may change."""
    tables = ("pillion.feed", "pillion.bucket", "pillion.relay", "pillion.outbox")
    return [await bench.service.fetch(f"SELECT t::text AS t FROM {each} t ORDER BY 1") for each in tables]


async def test_without_need_it_is_refused(bench: Bench) -> None:
    settings = await changes(bench)
    before = await everything(bench)
    for how in ("restored", "pg-upgraded"):
        with pytest.raises(Permanent, match="nothing to adopt"):
            await adopt(bench, settings, how)
    assert await everything(bench) == before


async def test_it_is_refused_while_a_relay_works_on_the_feed(bench: Bench) -> None:
    settings = await changes(bench)
    async with bench.relay(settings, identity="me"):
        await bench.service.execute("INSERT INTO t VALUES (1)")
        await bench.until_arrived(1)
        await bench.service.execute(FOREIGN)
        with pytest.raises(Permanent, match=r"is being relayed, by me/.* nothing was changed"):
            await adopt(bench, settings)
        assert await bench.service.fetchval("SELECT system_id FROM pillion.feed") == "1"


async def test_an_owner_that_the_backup_brought_along_is_watched_for_a_lease_only(bench: Bench) -> None:
    settings = await changes(bench, lease=1.0)
    await bench.service.execute(
        "UPDATE pillion.bucket SET owner = 'dead/1', epoch = 7; "
        f"INSERT INTO pillion.relay VALUES ('pillion.outbox', 'dead/1', 9); {FOREIGN}"
    )
    started = boot_clock()
    await adopt(bench, settings)
    assert boot_clock() - started >= 1.0
    assert any("whether dead/1 still relays" in each for each in bench.said)
    rows = await bench.service.fetch("SELECT DISTINCT owner, epoch FROM pillion.bucket")
    assert [tuple(each) for each in rows] == [(None, 8)]
    assert await bench.service.fetchval("SELECT count(*) FROM pillion.relay") == 0


async def test_an_adoption_that_is_cut_off_has_changed_nothing_and_can_be_run_again(bench: Bench) -> None:
    settings = await changes(bench)
    await bench.service.execute("INSERT INTO t VALUES (1)")
    await bench.service.execute(FOREIGN)
    before = await everything(bench)
    # What it does last is held up, so that all the rest is done by then.
    blocker = await bench.connect()
    await blocker.execute("BEGIN; LOCK TABLE pillion.relay IN EXCLUSIVE MODE")
    task = asyncio.create_task(adopt(bench, settings))
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM%relay%'"
    )
    pid = await until(lambda: bench.service.fetchval(waiting))
    await bench.service.execute(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(Exception, match=r"terminat|connection"):
        await task
    await blocker.execute("ROLLBACK")
    assert await everything(bench) == before
    (done,) = await adopt(bench, settings)
    assert (done.history, done.unpublished + done.written) == (2, 1)
    with pytest.raises(Permanent, match="nothing to adopt"):
        await adopt(bench, settings)
    async with bench.relay(settings):
        await bench.until_arrived(1)


async def test_a_transaction_that_is_open_meanwhile_is_neither_lost_nor_waited_for(bench: Bench) -> None:
    settings = await changes(bench)
    await bench.service.execute("CREATE TABLE other (x int)")
    before, during = await bench.connect(), await bench.connect()
    await before.execute("BEGIN; INSERT INTO other VALUES (1)")
    await bench.service.execute("INSERT INTO t VALUES (1)")
    await bench.service.execute(FOREIGN)
    await during.execute("BEGIN; INSERT INTO other VALUES (2)")
    await adopt(bench, settings)
    await bench.service.execute("INSERT INTO t VALUES (2)")
    async with bench.relay(settings):
        await bench.until_arrived(2)
        await before.execute("INSERT INTO t VALUES (3); COMMIT")
        await during.execute("INSERT INTO t VALUES (4); COMMIT")
        arrived = await bench.until_arrived(4)
    assert [each.key for each in arrived[:2]] == ["1", "2"]
    assert {each.key for each in arrived[2:]} == {"3", "4"}


async def test_a_writer_in_the_table_is_waited_for_and_named(bench: Bench) -> None:
    settings = await changes(bench)
    await bench.service.execute(FOREIGN)
    writer = await bench.connect()
    await writer.execute("BEGIN; INSERT INTO t VALUES (1)")
    task = asyncio.create_task(adopt(bench, settings))
    await until(lambda: any("in the way: process" in each for each in bench.said))
    await writer.execute("COMMIT")
    await task
    async with bench.relay(settings):
        await bench.until_arrived(1)


async def test_the_services_own_triggers_neither_see_it_nor_change(bench: Bench) -> None:
    await bench.service.execute(
        f"""
        {OB};
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'append only'; END $$;
        CREATE TRIGGER origin BEFORE UPDATE ON ob FOR EACH ROW EXECUTE FUNCTION no();
        CREATE TRIGGER always BEFORE UPDATE ON ob FOR EACH ROW EXECUTE FUNCTION no();
        CREATE TRIGGER replica BEFORE UPDATE ON ob FOR EACH ROW EXECUTE FUNCTION no();
        CREATE TRIGGER off BEFORE UPDATE ON ob FOR EACH ROW EXECUTE FUNCTION no();
        ALTER TABLE ob ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER replica, DISABLE TRIGGER off;
        """
    )
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    states = "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE tgrelid = 'ob'::regclass ORDER BY 1"
    before = await bench.service.fetch(states)
    await bench.service.execute("INSERT INTO ob (key, payload) VALUES ('k', '1')")
    await bench.service.execute(FOREIGN)
    await adopt(bench, settings)
    assert await bench.service.fetch(states) == before
    async with bench.relay(settings):
        await bench.until_arrived(1)


async def test_rows_that_were_to_be_ignored_stay_so(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE ob (id uuid PRIMARY KEY, aggregateid text, payload jsonb)")
    insert = "INSERT INTO ob VALUES (gen_random_uuid(), $1, '{}')"
    await bench.service.execute(insert, "old")
    settings = bench.settings(tables=(Table(table="ob", preset="debezium", topic=f"{bench.stream}.ob"),))
    await bench.init(settings, "ignore")
    await bench.service.execute(insert, "new")
    # As in a cluster whose transactions are far behind the rows'.
    await bench.service.execute("UPDATE ob SET xid = '9000000000' WHERE aggregateid = 'old'")
    await bench.service.execute(FOREIGN)
    (done,) = await adopt(bench, settings)
    assert (done.published, done.unpublished + done.written) == (0, 1)
    async with bench.relay(settings):
        assert [each.key for each in await bench.until_arrived(1)] == ["new"]


async def test_the_next_number_lies_above_all_that_are_known(bench: Bench) -> None:
    await bench.service.execute(OB)
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    await bench.service.execute("INSERT INTO ob (key, payload) VALUES ('k', '1'), ('k', '2')")
    await bench.service.execute("ALTER SEQUENCE ob_id_seq RESTART 1")
    await bench.service.execute(
        f"UPDATE pillion.bucket SET target = '3:3:', pos = 40 WHERE bucket = 5; {FOREIGN}"
    )
    await adopt(bench, settings)
    await bench.service.execute("INSERT INTO ob (key, payload) VALUES ('k', '3')")
    assert await bench.service.fetchval("SELECT max(id) FROM ob") == 41


async def test_pg_upgraded_keeps_the_position_and_is_refused_where_it_is_ahead(bench: Bench) -> None:
    settings = await changes(bench)
    async with bench.relay(settings):
        await bench.service.execute("INSERT INTO t VALUES (1)")
        await bench.until_arrived(1)
    places = "SELECT base::text, target::text, pos FROM pillion.bucket ORDER BY bucket"
    saved = await bench.service.fetch(places)
    await bench.service.execute(FOREIGN)
    with pytest.raises(Permanent, match=r"ahead of this cluster.*adopt --restored"):
        await adopt(bench, settings, "pg-upgraded")
    # pg_upgrade makes the tables anew after it set the counter on.
    await bench.service.execute("ALTER TABLE pillion.outbox DROP CONSTRAINT outbox_pkey; "
                                "DROP INDEX pillion.outbox_xid_id; "
                                "ALTER TABLE pillion.outbox ADD PRIMARY KEY (id)")  # fmt: skip
    (done,) = await adopt(bench, settings, "pg-upgraded")
    assert await bench.service.fetch(places) == saved
    assert done.history == 2


async def test_nothing_is_cleaned_up_or_counted_where_the_position_means_nothing(bench: Bench) -> None:
    settings = await changes(bench)
    await bench.service.execute("INSERT INTO t VALUES (1)")
    await bench.service.execute(
        "UPDATE pillion.outbox SET created = now() - interval '9 d'; "
        f"UPDATE pillion.bucket SET base = '999999:999999:'; {FOREIGN}"
    )
    from prometheus_client import CollectorRegistry

    database = Database(lambda: bench.url)
    cleaner = Cleaner(database, "pillion", "pillion.outbox", 1.0, Metrics(CollectorRegistry()))
    with pytest.raises(ForeignError):
        await cleaner.round()
    assert len(await bench.outbox()) == 1
    async with database.connection() as connection:
        (found,) = await survey(connection, settings)
    assert "`pillion outbox adopt --restored` after a restore" in found.problem
    assert "`pillion outbox adopt --pg-upgraded` after pg_upgrade" in found.problem


async def test_the_installer_adopts_and_the_relay_goes_on_with_no_more_rights_than_were_granted(
    bench: Bench,
) -> None:
    owner, installer, relay = (f"{each}_{bench.stream}" for each in ("owner", "installer", "relay"))
    await bench.service.execute(
        f"CREATE ROLE {owner}; CREATE ROLE {installer} LOGIN IN ROLE {owner}; CREATE ROLE {relay} LOGIN; "
        f"GRANT CREATE ON DATABASE {bench.url.rpartition('/')[2]} TO {installer}; "
        f"CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO {owner}"
    )
    everyone = bench.url
    bench.url = everyone.replace("postgres@", f"{installer}@")
    settings = bench.settings(changes=(Changes(table="t", topic=f"{bench.stream}.t"),))
    lower = msgspec.structs.replace(settings, database=everyone.replace("postgres@", f"{relay}@"))
    try:
        await bench.init(settings, role=relay)
        await bench.service.execute("INSERT INTO t VALUES (1)")
        await bench.service.execute(FOREIGN)
        async with bench.relay(lower) as running:

            async def stopped() -> bool:
                return "adopt --restored" in (await running.status())[0].problem

            await until(stopped, within=20)
            await adopt(bench, settings)
            await bench.until_arrived(1)
            await bench.service.execute("INSERT INTO t VALUES (2)")
            await bench.until_arrived(2)
    finally:
        bench.url = everyone
        await bench.service.execute(
            f"DROP OWNED BY {relay}, {installer} CASCADE; DROP ROLE {relay}, {installer}"
        )


async def test_a_server_that_took_over_begins_another_history(bench: Bench) -> None:
    settings = await changes(bench)
    async with bench.relay(settings):
        await bench.service.execute("INSERT INTO t VALUES (1)")
        await bench.until_arrived(1)
    async with bench.relay(settings):
        await bench.service.execute("INSERT INTO t VALUES (2)")
        await bench.until_arrived(2)
    await bench.service.execute("UPDATE pillion.feed SET timeline = timeline + 1")
    async with bench.relay(settings):
        await bench.service.execute("INSERT INTO t VALUES (3)")
        arrived = await bench.until_arrived(3)
    assert [each.headers["ce-sequence"][:6] for each in arrived] == ["000001", "000001", "000002"]


async def test_the_command_tells_what_it_did_and_what_consumers_will_see(
    bench: Bench,
    file: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    await bench.service.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    assert await run("init", "--config", str(file)) == 0
    assert await run("adopt", "--config", str(file)) == 2
    assert "--restored or --pg-upgraded" in capsys.readouterr().err
    assert await run("adopt", "--restored", "--config", str(file)) == 1
    assert "nothing to adopt" in capsys.readouterr().err
    await bench.service.execute("INSERT INTO orders VALUES (1)")
    await bench.service.execute(FOREIGN)
    # As a restore without owners leaves it.
    await bench.service.execute("ALTER FUNCTION pillion.capture() OWNER TO postgres")
    assert await run("status", "--config", str(file)) == 1
    assert "nothing is published" in capsys.readouterr().out
    assert await run("adopt", "--restored", "--config", str(file)) == 0
    said = capsys.readouterr().out
    assert "0 rows were published" in said
    assert "arrive again with the same ids" in said
    owner = "SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'capture'"
    assert await bench.service.fetchval(owner) == "pillion_owner"
    await bench.service.execute(FOREIGN)
    assert await run("adopt", "--restored", "--json", "--config", str(file)) == 0
    (done,) = json.loads(capsys.readouterr().out)
    assert (done["feed"], done["how"], done["history"]) == ("pillion.outbox", "restored", 3)
    assert await run("status", "--config", str(file)) == 0


async def test_before_init_it_says_so(bench: Bench) -> None:
    with pytest.raises(Permanent, match="pillion outbox init"):
        await adopt(bench, bench.settings(changes=(Changes(table="t"),)))
