"""Events from real tables through a real relay into a real stream."""

from agent.config.sections.outbox import Changes, Table
from tests.integration.outbox.bench import Bench

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_changed_row_arrives_as_a_cloudevent(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE orders (id serial PRIMARY KEY, item text)")
    settings = bench.settings(changes=(Changes(table="orders"),))
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute(f"INSERT INTO orders (item) VALUES ('shoe') /*traceparent='{TRACE}'*/")
        await bench.service.execute("UPDATE orders SET item = 'boot'")
        first, second = await bench.until_arrived(2)
    assert first.subject == f"{bench.stream}.orders"
    assert first.data == {"before": None, "after": {"id": 1, "item": "shoe"}}
    assert first.headers["ce-type"] == "orders.created"
    assert first.headers["ce-source"] == "/shop"
    assert first.headers["ce-traceparent"] == TRACE
    assert first.headers["ce-subject"] == first.headers["ce-partitionkey"] == "1"
    assert first.headers["ce-sequence"] == f"000001-{1:020d}"
    assert first.headers["ce-datacontenttype"] == "application/json"
    assert second.headers["ce-type"] == "orders.updated"
    assert second.data["before"] == {"id": 1, "item": "shoe"}
    assert "ce-traceparent" not in second.headers


async def test_rows_of_a_debezium_table_arrive_with_their_own_ids(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload jsonb)"
    )
    settings = bench.settings(tables=(Table(table="ob", preset="debezium", topic=f"{bench.stream}.{{aggregatetype}}"),))
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute(
            "INSERT INTO ob (aggregatetype, aggregateid, type, payload) SELECT 'order', n % 7, 'made', '{}' FROM generate_series(1, 500) n"
        )
        arrived = await bench.until_arrived(500)
    ids = {str(row["id"]) for row in await bench.service.fetch("SELECT id FROM ob")}
    assert {each.headers["ce-id"] for each in arrived} == ids
    assert {each.subject for each in arrived} == {f"{bench.stream}.order"}
