"""Whose rights the trigger functions have: never those of a superuser, whoever installed them."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from agent.config.sections.outbox import Changes, Outbox
from agent.outbox.database import Database
from agent.outbox.sql.facts import gather
from agent.outbox.sql.install import Installer
from agent.outbox.sql.plan import names, removal
from agent.outbox.sql.steps import script
from agent.runtime.errors import Misconfigured
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_init import psql

CAST_TO_JSON = """
CREATE TYPE colour AS ENUM ('red');
CREATE FUNCTION shown(colour) RETURNS json LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO shop.seen VALUES (current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user));
    RETURN to_json($1::text);
END $$;
CREATE CAST (colour AS json) WITH FUNCTION shown(colour);
CREATE TABLE t (id int PRIMARY KEY, c colour);
"""
"""A type that is written as JSON by code of its owner."""

CAST_TO_TEXT = """
CREATE TABLE t (id int PRIMARY KEY, c text);
CREATE FUNCTION shown(t) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO shop.seen VALUES (current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user));
    RETURN 'shown';
END $$;
CREATE CAST (t AS text) WITH FUNCTION shown(t);
"""
"""A table whose rows are written as text by code of its owner."""


@pytest.fixture
async def owner(bench: Bench) -> AsyncIterator[Any]:
    """A connection of a role without rights but a schema of its own in which it makes tables."""
    role = f"owner_{bench.stream}"
    await bench.service.execute(
        f"CREATE ROLE {role} LOGIN; CREATE SCHEMA shop AUTHORIZATION {role}; ALTER ROLE {role} SET search_path = shop"
    )
    connection = await asyncpg.connect(bench.url.replace("postgres@", f"{role}@"))
    try:
        await connection.execute(
            "CREATE TABLE seen (who text, super boolean); GRANT INSERT ON seen TO PUBLIC; GRANT USAGE ON SCHEMA shop "
            "TO PUBLIC"
        )
        yield connection
    finally:
        await connection.close()
        await bench.service.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def watched(bench: Bench, **more: Any) -> Outbox:
    return bench.settings(changes=(Changes(table="shop.t", topic=f"{bench.stream}.t", **more),))


async def test_a_cast_of_the_tables_owner_never_runs_with_the_rights_of_a_superuser(
    bench: Bench, owner: Any
) -> None:
    await owner.execute(CAST_TO_JSON)
    await bench.init(watched(bench))
    await owner.execute(
        "INSERT INTO t VALUES (1, 'red'); UPDATE t SET id = 2; SET DateStyle = 'SQL'; DELETE FROM t"
    )
    seen = await owner.fetch("SELECT DISTINCT who, super FROM seen")
    assert [tuple(each) for each in seen] == [("pillion_owner", False)]
    assert [row["type"] for row in await bench.outbox()] == [
        "t.created",
        "t.updated",
        "t.updated",
        "t.deleted",
    ]


async def test_what_could_not_be_an_event_is_recorded_without_the_owners_cast(
    bench: Bench, owner: Any
) -> None:
    await owner.execute(CAST_TO_TEXT)
    await bench.init(watched(bench, on_error="record", key=("c",)))
    await owner.execute("ALTER TABLE t DROP COLUMN c CASCADE; INSERT INTO t VALUES (1)")
    assert await owner.fetch("SELECT * FROM seen") == []
    rows = await bench.service.fetch("SELECT before, after FROM pillion.outbox_failed")
    assert [tuple(each) for each in rows] == [(None, "(1)")]


async def owners(bench: Bench) -> set[str]:
    rows = await bench.service.fetch(
        "SELECT DISTINCT proowner::regrole::text AS owner FROM pg_proc WHERE pronamespace = 'pillion'::regnamespace"
    )
    return {row["owner"] for row in rows}


async def test_the_role_of_the_functions_may_add_events_and_nothing_else(bench: Bench, owner: Any) -> None:
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.init(watched(bench))
    role = await bench.service.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'pillion_owner'")
    powers = ("super", "canlogin", "inherit", "createrole", "createdb", "replication", "bypassrls")
    assert not any(role[f"rol{each}"] for each in powers)
    assert await owners(bench) == {"pillion_owner"}
    rights = await bench.service.fetch(
        "SELECT c.relname AS name, a.privilege_type AS right FROM pg_class c, aclexplode(c.relacl) a "
        "WHERE a.grantee = 'pillion_owner'::regrole ORDER BY 1"
    )
    wanted = [("outbox", "INSERT"), ("outbox_failed", "INSERT"), ("outbox_id", "USAGE")]
    assert [tuple(each) for each in rights] == wanted
    assert await bench.init(watched(bench)) == 0


async def test_a_schema_whose_functions_a_superuser_still_owns_is_put_right(bench: Bench, owner: Any) -> None:
    """As a Pillion before this one left it, or a restore without owners and privileges."""
    await owner.execute(CAST_TO_JSON)
    settings = watched(bench)
    await bench.init(settings)
    await bench.service.execute(
        """
        ALTER TABLE pillion.feed DROP COLUMN timeline, DROP COLUMN relation, DROP COLUMN adopted;
        ALTER TABLE pillion.bucket DROP COLUMN unclean, DROP COLUMN attempting, DROP COLUMN suspect;
        DROP TABLE pillion.held_row, pillion.held_key, pillion.held_audit;
        UPDATE pillion.version SET version = 1;
        DO $$ DECLARE f regprocedure; BEGIN
            FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pillion'::regnamespace LOOP
                EXECUTE format('ALTER FUNCTION %s OWNER TO postgres', f);
            END LOOP;
        END $$;
        DROP OWNED BY pillion_owner;
        """
    )
    await owner.execute("INSERT INTO t VALUES (1, 'red')")
    assert await owner.fetchval("SELECT super FROM seen")
    await psql(bench, script(await bench.installer(settings).steps(None)))
    assert await bench.init(settings) == 0
    await owner.execute("TRUNCATE seen; INSERT INTO t VALUES (2, 'red')")
    assert not await owner.fetchval("SELECT super FROM seen")
    assert await bench.service.fetchval("SELECT relation = tableoid FROM pillion.feed")
    assert await bench.service.fetchval("SELECT sum(unclean) FROM pillion.bucket") == 0
    assert await bench.service.fetchval("SELECT count(*) FROM pillion.held_row") == 0


async def test_rights_that_a_restore_lost_are_given_again(bench: Bench, owner: Any) -> None:
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.init(watched(bench))
    await bench.service.execute("REVOKE INSERT ON pillion.outbox FROM pillion_owner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute("INSERT INTO t VALUES (1)")
    assert await bench.init(watched(bench)) == 1
    await owner.execute("INSERT INTO t VALUES (1)")


async def test_trigger_functions_that_were_altered_are_put_back(bench: Bench, owner: Any) -> None:
    """What code that runs as their owner may do to run as whoever writes."""
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.init(watched(bench))
    await bench.service.execute("ALTER FUNCTION pillion.capture() SECURITY INVOKER SET search_path = shop")
    assert await bench.init(watched(bench)) == 1
    await owner.execute("INSERT INTO t VALUES (1)")
    assert len(await bench.outbox()) == 1
    assert await bench.init(watched(bench)) == 0


@pytest.mark.parametrize(
    ("power", "undo", "word"),
    [
        ("ALTER ROLE pillion_owner LOGIN", "ALTER ROLE pillion_owner NOLOGIN", "has LOGIN"),
        ("ALTER ROLE pillion_owner CREATEROLE", "ALTER ROLE pillion_owner NOCREATEROLE", "has CREATEROLE"),
        ("ALTER ROLE pillion_owner SUPERUSER", "ALTER ROLE pillion_owner NOSUPERUSER", "has SUPERUSER"),
        (
            "GRANT pg_read_all_data TO pillion_owner",
            "REVOKE pg_read_all_data FROM pillion_owner",
            "is a member of pg_r",
        ),
        ("GRANT pillion_owner TO {role}", "REVOKE pillion_owner FROM {role}", "has the member owner_"),
    ],
)
async def test_a_role_of_that_name_that_may_more_is_refused(
    bench: Bench, owner: Any, power: str, undo: str, word: str
) -> None:
    role = await owner.fetchval("SELECT current_user")
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute(
        "DO 'BEGIN CREATE ROLE pillion_owner; EXCEPTION WHEN duplicate_object THEN END'"
    )
    await bench.service.execute(power.format(role=role))
    try:
        with pytest.raises(Misconfigured, match=f"the role pillion_owner exists and {word}"):
            await bench.init(watched(bench))
        assert not await bench.service.fetchval("SELECT to_regnamespace('pillion') IS NOT NULL")
    finally:
        await bench.service.execute(undo.format(role=role))


async def test_an_installer_without_power_keeps_the_functions_and_one_with_some_is_warned(
    bench: Bench, owner: Any
) -> None:
    role = await owner.fetchval("SELECT current_user")
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute(f"GRANT CREATE ON DATABASE {bench.url.rpartition('/')[2]} TO {role}")
    plain = Database(lambda: bench.url.replace("postgres@", f"{role}@"))
    settings = watched(bench)
    await Installer(plain, settings, bench.said.append).install(None)
    assert await owners(bench) == {role}
    assert not any("warning" in each for each in bench.said)
    await owner.execute("INSERT INTO t VALUES (1)")
    assert len(await bench.outbox()) == 1
    await bench.service.execute(f"ALTER ROLE {role} CREATEROLE; GRANT pg_read_all_data TO {role}")
    await Installer(plain, settings, bench.said.append).install(None)
    assert any("CREATEROLE, membership of pg_read_all_data" in each for each in bench.said)


async def test_who_may_only_put_triggers_on_a_table_can_have_its_changes_told(
    bench: Bench, owner: Any
) -> None:
    database = bench.url.rpartition("/")[2]
    role = f"installer_{database}"
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (0)")
    await bench.service.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {database} TO {role}; GRANT TRIGGER ON shop.t TO {role}"
    )
    try:
        least = Database(lambda: bench.url.replace("postgres@", f"{role}@"))
        await Installer(least, watched(bench), bench.said.append).install(None)
        await owner.execute("INSERT INTO t VALUES (1)")
        assert len(await bench.outbox()) == 1
        assert await Installer(least, watched(bench), bench.said.append).install(None) == 0
        await bench.service.execute(
            'CREATE TRIGGER "!pillion_statement" BEFORE INSERT ON shop.t EXECUTE FUNCTION pillion.trace()'
        )
        renamed = watched(bench, types={"insert": "t.born"})
        assert await Installer(least, renamed, bench.said.append).install(None) == 1
        await owner.execute("INSERT INTO t VALUES (2)")
        assert [row["type"] for row in await bench.outbox()] == ["t.created", "t.born"]
    finally:
        await bench.service.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def test_removal_leaves_the_role_to_another_database_that_needs_it(bench: Bench, owner: Any) -> None:
    await owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = watched(bench)
    await bench.init(settings)
    other = await asyncpg.connect(bench.url.rpartition("/")[0] + "/postgres")
    exists = "SELECT count(*) FROM pg_roles WHERE rolname = 'pillion_owner'"
    try:
        await other.execute("CREATE SCHEMA needing; GRANT USAGE ON SCHEMA needing TO pillion_owner")
        await psql(bench, await removing(bench, settings))
        assert await other.fetchval(exists) == 1
        await other.execute("DROP SCHEMA needing")
        await psql(bench, await removing(bench, settings))
        assert await other.fetchval(exists) == 0
    finally:
        await other.execute("DROP SCHEMA IF EXISTS needing")
        await other.close()


async def removing(bench: Bench, settings: Outbox) -> str:
    async with Database(lambda: bench.url).connection() as connection:
        return script(removal(settings, await gather(connection, settings.schema, names(settings))))
