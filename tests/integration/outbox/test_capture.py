"""What the triggers promise to the service whose tables they watch."""

from typing import Any

import asyncpg
import pytest

from agent.config.sections.outbox import Changes
from tests.integration.outbox.bench import Bench

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


async def watch(bench: Bench, ddl: str, **change: Any) -> None:
    """Make the tables and watch ``t``."""
    await bench.service.execute(ddl)
    await bench.init(bench.settings(changes=(Changes(table=change.pop("table", "t"), **change),)))


async def events(bench: Bench) -> list[tuple[str, str | None, Any]]:
    """Type, key and payload of each event."""
    import json

    return [(row["type"], row["key"], json.loads(row["payload"])) for row in await bench.outbox()]


async def test_only_what_really_changed_is_an_event(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text, j json)")
    await bench.service.execute("""INSERT INTO t VALUES (1, 'a', '{"x": 1}'), (2, 'b', NULL)""")
    await bench.service.execute("UPDATE t SET a = 'a' WHERE id = 1")
    await bench.service.execute("UPDATE t SET a = 'c' WHERE id = 1")
    await bench.service.execute("DELETE FROM t WHERE id = 2")
    assert [each[:2] for each in await events(bench)] == [
        ("t.created", "1"), ("t.created", "2"), ("t.updated", "1"), ("t.deleted", "2"),
    ]  # fmt: skip
    assert (await events(bench))[2][2] == {
        "before": {"id": 1, "a": "a", "j": {"x": 1}}, "after": {"id": 1, "a": "c", "j": {"x": 1}},
    }  # fmt: skip


async def test_what_is_rolled_back_leaves_no_event(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute(
        "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; COMMIT"
    )
    assert [key for _, key, _ in await events(bench)] == ["1"]


@pytest.mark.parametrize("money", ["", ", m money DEFAULT 12.5"])
async def test_nothing_in_an_event_depends_on_the_session(bench: Bench, money: str) -> None:
    columns = "at timestamptz PRIMARY KEY, r tstzrange, i interval, b bytea, f float8, d date[]"
    await watch(bench, f"CREATE TABLE t ({columns}{money})")
    at = "2026-01-02 03:04:05+00"
    row = f"'{at}', '[\"{at}\",)', '1 day 2 hours', '\\x01ff', 0.1::float8 + 0.2, '{{2026-01-02}}'"
    others = (
        {"timezone": "Asia/Tokyo"},
        {"datestyle": "German"},
        {"intervalstyle": "postgres_verbose"},
        {"bytea_output": "escape"},
        {"extra_float_digits": "-5"},
        {"lc_monetary": "C.UTF-8", "timezone": "Europe/Berlin"},
    )
    for settings in ({}, *others):
        connection = await bench.connect(**settings)
        await connection.execute(f"SET datestyle = 'ISO'; SET timezone = 'UTC'; INSERT INTO t VALUES ({row})")
        await connection.execute("RESET datestyle; RESET timezone; DELETE FROM t")
    deleted = [each for each in await events(bench) if each[0] == "t.deleted"]
    assert deleted == [deleted[0]] * (1 + len(others))
    assert deleted[0][1] == "2026-01-02T03:04:05+00:00"
    assert len({row["bucket"] for row in await bench.outbox()}) == 1


async def test_a_changed_primary_key_tells_the_old_key_too(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text)")
    await bench.service.execute("INSERT INTO t VALUES (1, 'a')")
    await bench.service.execute("UPDATE t SET id = 2")
    found = await events(bench)
    assert [each[:2] for each in found] == [("t.created", "1"), ("t.updated", "1"), ("t.updated", "2")]
    assert found[1][2] == found[2][2] == {"before": {"id": 1, "a": "a"}, "after": {"id": 2, "a": "a"}}


async def test_a_key_of_several_columns_is_a_json_array(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (b text, a int, PRIMARY KEY (a, b))")
    await bench.service.execute("""INSERT INTO t VALUES ('x"y', 1)""")
    assert (await events(bench))[0][1] == '[1, "x\\"y"]'


async def test_a_move_between_partitions_is_delete_and_insert_under_the_root(bench: Bench) -> None:
    await watch(
        bench,
        "CREATE TABLE t (id int, a text, PRIMARY KEY (id, a)) PARTITION BY LIST (a);"
        "CREATE TABLE t_x PARTITION OF t FOR VALUES IN ('x');"
        "CREATE TABLE t_y (a text NOT NULL, id int NOT NULL); ALTER TABLE t ATTACH PARTITION t_y FOR "
        "VALUES IN ('y')",
        key=("id",),
    )
    await bench.service.execute("INSERT INTO t VALUES (1, 'x')")
    await bench.service.execute("UPDATE t SET a = 'y'")
    await bench.service.execute("CREATE TABLE t_z PARTITION OF t FOR VALUES IN ('z')")
    await bench.service.execute("INSERT INTO t_z VALUES (2, 'z')")
    assert [each[:2] for each in await events(bench)] == [
        ("t.created", "1"), ("t.deleted", "1"), ("t.created", "1"), ("t.created", "2"),
    ]  # fmt: skip
    assert {row["origin"] for row in await bench.outbox()} == {"public.t"}


async def test_truncate_is_one_event_without_a_key(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute("INSERT INTO t VALUES (1), (2)")
    await bench.service.execute("TRUNCATE t")
    assert (await events(bench))[2:] == [("t.truncated", None, {"before": None, "after": None})]


async def test_the_service_can_still_change_its_columns(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text, b int)", exclude=("b",), mask=("a",))
    for statement in (
        "INSERT INTO t VALUES (1, 'a', 1)",
        "ALTER TABLE t ALTER COLUMN b TYPE bigint, ALTER COLUMN a TYPE varchar(9)",
        "ALTER TABLE t ALTER COLUMN id TYPE bigint",
        "ALTER TABLE t ADD COLUMN c int",
        "UPDATE t SET c = 3",
        "ALTER TABLE t RENAME COLUMN c TO d",
        "ALTER TABLE t DROP COLUMN a, DROP COLUMN b",
        "UPDATE t SET d = 4",
        "ALTER TABLE t RENAME TO u",
        "UPDATE u SET d = 5",
    ):
        await bench.service.execute(statement)
    assert (await events(bench))[-1] == (
        "t.updated",
        "1",
        {"before": {"id": 1, "d": 4}, "after": {"id": 1, "d": 5}},
    )


async def test_a_key_that_is_gone_fails_the_write_with_a_hint(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute("ALTER TABLE t RENAME COLUMN id TO number")
    with pytest.raises(asyncpg.RaiseError, match="no column") as error:
        await bench.service.execute("INSERT INTO t VALUES (1)")
    assert "outbox init" in error.value.hint


async def test_columns_are_included_excluded_and_masked(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a text, secret text); CREATE TABLE u (id int PRIMARY "
        "KEY, a text, b text)"
    )
    changes = (Changes(table="t", mask=("secret",)), Changes(table="u", include=("id", "a")))
    await bench.init(bench.settings(changes=changes))
    await bench.service.execute("INSERT INTO t VALUES (1, 'a', 'hidden'); UPDATE t SET secret = 'hidden too'")
    await bench.service.execute("INSERT INTO u VALUES (1, 'a', 'b'); UPDATE u SET b = 'c'")
    found = await events(bench)
    assert [each[0] for each in found] == ["t.created", "t.updated", "u.created"], (
        "a change of what is left out is none"
    )
    assert found[1][2]["after"] == {"id": 1, "a": "a", "secret": "***"}
    assert found[2][2]["after"] == {"id": 1, "a": "a"}
    assert "hidden" not in str(found)


async def test_only_the_wanted_operations_are_events_and_types_are_as_named(bench: Bench) -> None:
    await watch(
        bench,
        "CREATE TABLE t (id int PRIMARY KEY, a int)",
        operations=("insert", "update"),
        types={"insert": "order.made"},
    )
    await bench.service.execute("INSERT INTO t VALUES (1, 1); UPDATE t SET a = 2; DELETE FROM t; TRUNCATE t")
    assert [each[0] for each in await events(bench)] == ["order.made", "t.updated"]


async def test_the_service_needs_no_rights_on_pillions_schema(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id serial PRIMARY KEY, a text)")
    role = f"service_{bench.stream}"
    await bench.service.execute(
        f"CREATE ROLE {role}; GRANT ALL ON t TO {role}; GRANT USAGE ON SEQUENCE t_id_seq TO {role}"
    )
    try:
        await bench.service.execute(f"SET ROLE {role}")
        await bench.service.execute(
            "INSERT INTO t (a) VALUES ('a'); UPDATE t SET a = 'b'; DELETE FROM t; TRUNCATE t"
        )
        for forbidden in ("SELECT * FROM pillion.outbox", "SELECT pillion.key_of('{}', '{a}')"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await bench.service.execute(forbidden)
        await bench.service.execute("RESET ROLE")
        assert len(await events(bench)) == 4
    finally:
        await bench.service.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_hostile_search_path_changes_nothing(bench: Bench) -> None:
    """Functions and tables of the same names as those that the triggers use stand in front of the real
    ones."""
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE stolen (x text)")
    await bench.service.execute(
        """
        CREATE SCHEMA evil;
        CREATE FUNCTION evil.to_jsonb(x record) RETURNS jsonb LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO public.stolen VALUES (current_user); RETURN '{"id": 666}'; END $$;
        CREATE FUNCTION evil.convert_to(x text, y text) RETURNS bytea LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO public.stolen VALUES (current_user); RETURN 'x'; END $$;
        CREATE FUNCTION evil.current_query() RETURNS text LANGUAGE sql AS $$ SELECT 'evil'::text $$;
        CREATE TEMP TABLE outbox (LIKE pillion.outbox);
        SET search_path = evil, pg_temp, pg_catalog, public;
        INSERT INTO public.t VALUES (1, 'a');
        UPDATE public.t SET a = 'b';
        """
    )
    assert [key for _, key, _ in await events(bench)] == ["1", "1"]
    assert await bench.service.fetch("SELECT * FROM public.stolen") == []


async def test_a_failure_fails_the_write_by_default(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, j json)")
    with pytest.raises(asyncpg.PostgresError):
        await bench.service.execute("""INSERT INTO t VALUES (1, '"\\u0000"')""")
    assert await bench.service.fetchval("SELECT count(*) FROM t") == 0


async def test_a_failure_is_recorded_where_that_is_asked_for(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, j json)", on_error="record")
    await bench.service.execute("""INSERT INTO t VALUES (1, '"\\u0000"'), (2, '1')""")
    assert [key for _, key, _ in await events(bench)] == ["2"]
    failed = await bench.service.fetchrow("SELECT * FROM pillion.outbox_failed")
    assert (failed["origin"], failed["operation"]) == ("public.t", "insert")
    assert "\\u0000" in failed["after"]


async def test_a_recorded_failure_keeps_hidden_what_is_hidden(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, j json, s text)", on_error="record", mask=("s",))
    await bench.service.execute("""INSERT INTO t VALUES (1, '"\\u0000"', 'secret')""")
    failed = await bench.service.fetchrow("SELECT * FROM pillion.outbox_failed")
    assert failed["after"] is None


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (f"/*traceparent='{PARENT}'*/", PARENT),
        (f"/*app='x',traceparent='{PARENT}',tracestate='a%3Db'*/ ; ", PARENT),
        (f"/*traceparent='{PARENT}'*/ -- more", None),
        (f"/*traceparent='{PARENT}x'*/", None),
        (f"/*traceparent='{PARENT.upper()}'*/", None),
        ("/*traceparent=''*/", None),
        ("/* * */", None),
        ("", None),
    ],
)
async def test_the_trace_comes_from_the_comment_at_the_end(
    bench: Bench, comment: str, expected: str | None
) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text)")
    # What looks like a comment within a value is none.
    await bench.service.execute(f"INSERT INTO t VALUES (1, '/*traceparent=''{OTHER}''*/') {comment}")
    assert [row["traceparent"] for row in await bench.outbox()] == [expected]


async def test_a_statement_without_a_comment_has_no_trace_of_the_one_before(bench: Bench) -> None:
    await watch(
        bench,
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF t "
        "FOR VALUES FROM (0) TO (9)",
    )
    await bench.service.execute("BEGIN")
    await bench.service.execute(f"INSERT INTO t VALUES (1) /*traceparent='{PARENT}'*/")
    await bench.service.execute("INSERT INTO t VALUES (2)")
    await bench.service.execute(f"INSERT INTO t VALUES (3) /*traceparent='{OTHER}'*/")
    # Only the row trigger fires for a statement on a partition by its own name.
    await bench.service.execute("INSERT INTO p VALUES (4)")
    await bench.service.execute("COMMIT")
    assert [row["traceparent"] for row in await bench.outbox()] == [PARENT, None, OTHER, None]


async def test_a_long_statement_is_read_once(bench: Bench) -> None:
    """A megabyte in one statement of many rows: reading it for each row took 50 s."""
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text)")
    values = ", ".join(f"({n}, '{'x' * 80}')" for n in range(10000))
    await bench.service.execute(f"INSERT INTO t VALUES {values} /*traceparent='{PARENT}'*/", timeout=20)
    assert (
        await bench.service.fetchval("SELECT count(*) FROM pillion.outbox WHERE traceparent = $1", PARENT)
        == 10000
    )


async def test_a_trigger_of_the_service_that_writes_again_comes_after(bench: Bench) -> None:
    await watch(
        bench,
        """
        CREATE TABLE t (id int PRIMARY KEY, v int);
        CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN IF NEW.v < 3 THEN UPDATE t SET v = v + 1 WHERE id = NEW.id; END IF; RETURN NULL; END $$;
        CREATE TRIGGER a_first AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again();
        """,
    )
    await bench.service.execute("INSERT INTO t VALUES (1, 1)")
    assert [payload["after"]["v"] for _, _, payload in await events(bench)] == [1, 2, 3]


async def test_names_may_be_anything(bench: Bench) -> None:
    table, column = "Or\"der's; DROP TABLE x;--\\", "i'd\"\\"
    quoted = table.replace('"', '""')
    column_sql = '"' + column.replace('"', '""') + '"'
    await watch(
        bench, f'CREATE TABLE "{quoted}" ({column_sql} text PRIMARY KEY)', table=f'"{quoted}"', mask=()
    )
    await bench.service.execute(f"INSERT INTO \"{quoted}\" VALUES ('k')")
    assert [each[:2] for each in await events(bench)] == [(f"{table}.created", "k")]
