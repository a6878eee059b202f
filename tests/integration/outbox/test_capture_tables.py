"""What the triggers do about tables that change, that are partitioned, and that are named as they like."""

import json
from typing import Any

import asyncpg
import pytest

from agent.config.sections.outbox import Changes
from agent.runtime.errors import Misconfigured
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_capture import events, watch

PARTITIONED = """
CREATE TABLE t (id int, a text, PRIMARY KEY (id, a)) PARTITION BY LIST (a);
CREATE TABLE t_x PARTITION OF t FOR VALUES IN ('x'); CREATE TABLE t_y PARTITION OF t FOR VALUES IN ('y')"""


async def keys(bench: Bench) -> list[tuple[str, str | None]]:
    return [(row["type"], row["key"]) for row in await bench.outbox()]


async def test_an_update_is_an_event_only_if_a_named_column_or_the_key_changed(bench: Bench) -> None:
    await watch(
        bench,
        "CREATE TABLE t (id int PRIMARY KEY, status text, seen int)",
        only=("status",),
        mask=("status",),
    )
    await bench.service.execute("INSERT INTO t VALUES (1, 'open', 0)")
    await bench.service.execute("UPDATE t SET seen = 1")
    await bench.service.execute("UPDATE t SET status = NULL")
    await bench.service.execute("UPDATE t SET id = 2")
    await bench.service.execute("DELETE FROM t")
    assert await keys(bench) == [
        ("t.created", "1"), ("t.updated", "1"), ("t.updated", "1"), ("t.updated", "2"), ("t.deleted", "2"),
    ]  # fmt: skip


async def test_a_named_column_that_is_gone_fails_the_write_with_a_hint(bench: Bench) -> None:
    """Going on would mean that no update is an event any more, and nobody the wiser."""
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, status text)", only=("status",))
    await bench.service.execute("INSERT INTO t VALUES (1, 'open'); ALTER TABLE t RENAME status TO state")
    with pytest.raises(asyncpg.RaiseError, match="no column") as error:
        await bench.service.execute("UPDATE t SET state = 'closed'")
    assert "outbox init" in error.value.hint


@pytest.mark.parametrize("group", ["only", "include", "exclude", "mask", "key"])
async def test_a_rule_for_a_column_that_is_not_there_is_refused(bench: Bench, group: str) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with pytest.raises(Misconfigured, match=f"changes\\[0\\].{group}.*has nothing, which t has not"):
        await bench.init(bench.settings(changes=(Changes(table="t", **{group: ("nothing",)}),)))


@pytest.mark.parametrize("rule", ["mask", "exclude"])
@pytest.mark.parametrize("partitioned", [False, True])
async def test_a_hidden_column_stays_hidden_under_a_new_name(
    bench: Bench, rule: str, partitioned: bool
) -> None:
    tables = "CREATE TABLE t (gone int, id int PRIMARY KEY, secret text)"
    if partitioned:
        tables += """ PARTITION BY RANGE (id); CREATE TABLE p (secret text, id int NOT NULL, gone int);
            ALTER TABLE t ATTACH PARTITION p FOR VALUES FROM (0) TO (9)"""
    await watch(bench, f"{tables}; ALTER TABLE t DROP COLUMN gone", **{rule: ("secret",)})
    await bench.service.execute("ALTER TABLE t RENAME secret TO former; ALTER TABLE t ADD secret text")
    await bench.service.execute("INSERT INTO t (id, former, secret) VALUES (1, 'hidden', 'hidden')")
    ((_, _, payload),) = await events(bench)
    assert payload["after"] == {"id": 1, **({"former": "***", "secret": "***"} if rule == "mask" else {})}


async def test_a_changed_part_of_a_key_of_several_columns_tells_both_keys(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (a int, b text, v int, PRIMARY KEY (a, b))")
    await bench.service.execute("INSERT INTO t VALUES (1, 'x', 0)")
    await bench.service.execute("UPDATE t SET v = 1")
    await bench.service.execute("UPDATE t SET b = 'y'")
    assert [key for _, key in await keys(bench)] == ['[1, "x"]', '[1, "x"]', '[1, "x"]', '[1, "y"]']


async def test_a_key_of_a_column_without_a_value_is_none(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, k text)", key=("k",))
    await bench.service.execute("INSERT INTO t VALUES (1, NULL); UPDATE t SET k = 'a'; UPDATE t SET k = NULL")
    assert [key for _, key in await keys(bench)] == [None, None, "a", "a", None]


async def test_columns_come_and_go_and_change_their_type_while_events_go_on(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, a text)")
    for statement in (
        "INSERT INTO t VALUES (1, '7')",
        "ALTER TABLE t ADD COLUMN m money DEFAULT 1.5, ADD COLUMN made int GENERATED ALWAYS AS (7 * 2) STORED",
        "UPDATE t SET a = '8'",
        "ALTER TABLE t ALTER COLUMN a TYPE int USING a::int, DROP COLUMN m",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t ALTER COLUMN id TYPE text",
        "UPDATE t SET b = 9",
    ):
        await bench.service.execute(statement)
    found = await events(bench)
    assert [key for _, key, _ in found] == ["1"] * 3
    assert found[1][2]["after"] == {"id": 1, "a": "8", "m": "$1.50", "made": 14}
    assert found[2][2] == {
        "before": {"id": "1", "b": 8, "made": 14}, "after": {"id": "1", "b": 9, "made": 14},
    }  # fmt: skip


async def test_tables_of_one_name_in_several_schemas_and_names_of_any_letters_stay_apart(
    bench: Bench,
) -> None:
    longest = "\u00fc" * 31 + "x"
    await bench.service.execute(
        f"""CREATE SCHEMA "Lager \u20ac"; CREATE TABLE "Lager \u20ac"."{longest}" ("Schl\u00fcssel" int PRIMARY KEY);
        CREATE TABLE "{longest}" ("Schl\u00fcssel" int PRIMARY KEY)"""
    )
    topics = {"topic": f"{bench.stream}.x"}
    changes = (Changes(table=longest, **topics), Changes(table=f"Lager \u20ac.{longest}", **topics))
    settings = bench.settings(changes=changes)
    await bench.init(settings)
    assert await bench.init(settings) == 0
    await bench.service.execute(
        f'INSERT INTO "Lager \u20ac"."{longest}" VALUES (1); INSERT INTO "{longest}" VALUES (2)'
    )
    rows = [(row["origin"], row["key"]) for row in await bench.outbox()]
    assert rows == [(f"Lager \u20ac.{longest}", "1"), (f"public.{longest}", "2")]
    async with bench.relay(settings):
        arrived = await bench.until_arrived(2)
    assert [each.data["after"] for each in arrived] == [{"Schl\u00fcssel": 1}, {"Schl\u00fcssel": 2}]


async def test_partitions_come_and_go_and_only_the_root_is_told_of(bench: Bench) -> None:
    await watch(bench, PARTITIONED, key=("id",))
    await bench.service.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    await bench.service.execute("ALTER TABLE t DETACH PARTITION t_y; UPDATE t_y SET id = 3")
    await bench.service.execute(
        "ALTER TABLE t ATTACH PARTITION t_y FOR VALUES IN ('y'); UPDATE t_y SET id = 4"
    )
    await bench.service.execute("CREATE TABLE t_z PARTITION OF t DEFAULT; INSERT INTO t_z VALUES (5, 'z')")
    assert await keys(bench) == [
        ("t.created", "1"), ("t.created", "2"), ("t.updated", "3"), ("t.updated", "4"), ("t.created", "5"),
    ]  # fmt: skip
    assert {row["origin"] for row in await bench.outbox()} == {"public.t"}


async def test_a_truncated_partition_is_told_by_nothing_and_the_truncated_root_once(bench: Bench) -> None:
    await watch(bench, PARTITIONED, key=("id",))
    await bench.service.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    await bench.service.execute("TRUNCATE t_x")
    await bench.service.execute("TRUNCATE t")
    assert await keys(bench) == [("t.created", "1"), ("t.created", "2"), ("t.truncated", None)]


async def test_every_way_of_writing_rows_is_told(bench: Bench) -> None:
    await watch(
        bench,
        """CREATE TABLE parent (id int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, v int)""",
    )
    await bench.service.execute("INSERT INTO parent VALUES (1), (2), (3)")
    await bench.service.copy_records_to_table("t", records=[(1, 0), (2, 0)])
    await bench.service.execute("INSERT INTO t VALUES (1, 1), (3, 1) ON CONFLICT (id) DO UPDATE SET v = 1")
    await bench.service.execute("UPDATE parent SET id = 9 WHERE id = 3")
    await bench.service.execute("DELETE FROM parent WHERE id = 2")
    assert await keys(bench) == [
        ("t.created", "1"), ("t.created", "2"), ("t.updated", "1"), ("t.created", "3"),
        ("t.updated", "3"), ("t.updated", "9"), ("t.deleted", "2"),
    ]  # fmt: skip


async def test_an_outbox_row_that_is_deleted_in_its_transaction_is_told(bench: Bench) -> None:
    await watch(
        bench,
        "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregateid text, payload jsonb)",
        key=("aggregateid",),
        operations=("insert",),
    )
    await bench.service.execute(
        "BEGIN; INSERT INTO t (aggregateid, payload) VALUES ('7', '{\"n\": 1}'); DELETE FROM t; COMMIT"
    )
    ((kind, key, payload),) = await events(bench)
    assert (kind, key, payload["after"]["payload"]) == ("t.created", "7", {"n": 1})


async def test_a_table_of_an_earlier_version_is_brought_up_without_losing_a_write(bench: Bench) -> None:
    """Its column is jsonb and its tables have a trigger more."""
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY, j json)")
    await bench.service.execute(
        """
        ALTER TABLE pillion.outbox ALTER COLUMN payload TYPE jsonb; INSERT INTO t VALUES (1, '1.0');
        DROP TRIGGER "!pillion_truncate" ON t;
        CREATE TRIGGER "!pillion_statement" BEFORE INSERT ON t FOR EACH STATEMENT
            EXECUTE FUNCTION pillion.trace('old');
        ALTER TABLE pillion.feed DROP COLUMN timeline, DROP COLUMN relation, DROP COLUMN adopted;
        UPDATE pillion.version SET version = 1"""
    )
    settings = bench.settings(changes=(Changes(table="t"),))
    assert await bench.init(settings) == 2
    assert await bench.init(settings) == 0
    await bench.service.execute("INSERT INTO t VALUES (2, '1e2')")
    payloads: list[Any] = [row["payload"] for row in await bench.outbox()]
    assert [json.loads(each)["after"]["id"] for each in payloads] == [1, 2]
    assert "1e2" in payloads[1]
    triggers = await bench.service.fetchval("SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass")
    assert triggers == 2


async def test_bringing_an_earlier_version_up_does_not_wait_for_a_writer(bench: Bench) -> None:
    await watch(bench, "CREATE TABLE t (id int PRIMARY KEY)")
    await bench.service.execute(
        """
        ALTER TABLE pillion.outbox ALTER COLUMN payload TYPE jsonb;
        ALTER TABLE pillion.feed DROP COLUMN timeline, DROP COLUMN relation, DROP COLUMN adopted;
        UPDATE pillion.version SET version = 1"""
    )
    writer = await bench.connect()
    await writer.execute("BEGIN; INSERT INTO t VALUES (1)")
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    await writer.execute("INSERT INTO t VALUES (2); COMMIT; INSERT INTO t VALUES (3)")
    assert [row["key"] for row in await bench.outbox()] == ["1", "2", "3"]
    assert await bench.init(settings) == 0
