"""No two rows are taken for one: what makes an event's id, and what a broker tells duplicates by."""

import pytest

from agent.config.sections.outbox import Table
from tests.integration.outbox.bench import Bench

SAME = "0af76519-16cd-43dd-8448-eb211c80319c"


@pytest.mark.parametrize(("kind", "value"), [("text", "1"), ("uuid", SAME)])
async def test_the_same_id_in_two_tables_is_two_events(bench: Bench, kind: str, value: str) -> None:
    columns = f"(id {kind} PRIMARY KEY, key text, type text, payload jsonb)"
    await bench.service.execute(f"CREATE TABLE a {columns}; CREATE TABLE b {columns}")
    settings = bench.settings(tables=(Table(table="a"), Table(table="b")))
    await bench.init(settings)
    async with bench.relay(settings):
        for table in ("a", "b"):
            await bench.service.execute(f"INSERT INTO {table} VALUES ('{value}', 'k', 'made', '{{}}')")
        arrived = await bench.until_arrived(2)
    assert {each.subject for each in arrived} == {f"{bench.stream}.a", f"{bench.stream}.b"}
    if kind == "uuid":
        assert {each.headers["ce-id"] for each in arrived} == {SAME}
    else:
        assert len({each.headers["ce-id"] for each in arrived}) == 2


@pytest.mark.parametrize("kind", ["text", "uuid"])
async def test_an_id_that_may_come_again_in_its_table_is_not_the_events(bench: Bench, kind: str) -> None:
    await bench.service.execute(f"CREATE TABLE ob (id {kind}, key text, type text, payload jsonb)")
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute(
            f"INSERT INTO ob SELECT '{SAME}', 'k', 'made', '{{}}' FROM generate_series(1, 5)"
        )
        arrived = await bench.until_arrived(5)
    assert len({each.headers["ce-id"] for each in arrived}) == 5
    assert all(each.headers["ce-id"].startswith("public.ob-") for each in arrived)
