"""Events from real tables through a real relay into a real stream."""

import asyncio
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.config.sections.outbox import Changes, Table
from agent.demo import backing
from agent.outbox.database import Database
from agent.outbox.relay import Relay
from agent.outbox.stops import Stop
from agent.outbox.survey import survey
from tests.integration.outbox.bench import Bench
from tests.waiting import until

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
        "CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, "
        "aggregateid text, type text, payload jsonb)"
    )
    settings = bench.settings(
        tables=(Table(table="ob", preset="debezium", topic=f"{bench.stream}.{{aggregatetype}}"),)
    )
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute(
            "INSERT INTO ob (aggregatetype, aggregateid, type, payload) SELECT 'order', n % 7, "
            "'made', '{}' FROM generate_series(1, 500) n"
        )
        arrived = await bench.until_arrived(500)
    ids = {str(row["id"]) for row in await bench.service.fetch("SELECT id FROM ob")}
    assert {each.headers["ce-id"] for each in arrived} == ids
    assert {each.subject for each in arrived} == {f"{bench.stream}.order"}


async def test_rows_of_a_pillion_table_keep_their_order_and_get_ids_that_stay(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, type text, payload text, traceparent text)"
    )
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute(
            "INSERT INTO ob (key, type, payload, traceparent) SELECT 'k', 'made', n, $1 FROM "
            "generate_series(1, 50) n",
            TRACE,
        )
        arrived = await bench.until_arrived(50)
    assert [each.body for each in arrived] == [b"%d" % number for number in range(1, 51)]
    assert len({each.headers["ce-id"] for each in arrived}) == 50
    assert arrived[0].headers["ce-traceparent"] == TRACE
    assert arrived[0].headers["ce-datacontenttype"] == "text/plain; charset=utf-8"


async def test_a_refused_event_stops_its_bucket_and_no_other_until_it_is_taken(bench: Bench) -> None:
    await bench.make_stream(max_msg_size=3000)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    settings = bench.settings(changes=(Changes(table="t"),), page=10, on_refused="block")
    await bench.init(settings)
    async with bench.relay(settings) as relay:
        await bench.service.execute("INSERT INTO t VALUES (1, repeat('x', 4000))")
        await bench.service.execute("UPDATE t SET a = 'later' WHERE id = 1")
        await bench.service.execute(
            "INSERT INTO t SELECT n, 'other' FROM generate_series(2, 60) n WHERE n % 64 <> 1"
        )
        rows = await bench.outbox()
        alone = sum(1 for each in rows if each["bucket"] != rows[0]["bucket"])
        await bench.until_arrived(alone)
        stop = await until(lambda: only_stop(relay))
        assert stop.row == 1
        assert "message size" in stop.reason
        assert bench.metric("pillion_outbox_stopped_buckets") == 1
        await asyncio.sleep(1)
        assert not any(each.key == "1" for each in await bench.arrived()), (
            "what comes after a refused event must wait"
        )
        await bench.change_stream(max_msg_size=-1)
        arrived = await bench.until_arrived(61)
        mine = dict.fromkeys(each.data["after"]["a"][:5] for each in arrived if each.key == "1")
        assert [*mine] == ["xxxxx", "later"]

        async def free() -> bool:
            return (
                not (await relay.status())[0].stopped and bench.metric("pillion_outbox_stopped_buckets") == 0
            )

        await until(free)


async def only_stop(relay: Relay) -> Stop:
    """The one bucket that stands still, once there is one: what passed it may have arrived before that is noted."""
    (status,) = await relay.status()
    assert len(status.stopped) == 1, status
    return status.stopped[0]


async def test_a_row_larger_than_the_broker_takes_is_never_fetched_whole(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    settings = bench.settings(changes=(Changes(table="t"),), on_refused="block")
    await bench.init(settings)
    async with bench.relay(settings) as relay:
        await bench.service.execute("INSERT INTO t VALUES (1, repeat('x', 20000000)), (3, 'small')")
        await bench.until_arrived(1)
        assert "larger than the broker takes" in (await until(lambda: only_stop(relay))).reason


async def test_large_rows_make_smaller_pages(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    settings = bench.settings(changes=(Changes(table="t"),), page=1000)
    await bench.init(settings)
    await bench.service.execute("INSERT INTO t SELECT n, repeat('x', 400000) FROM generate_series(1, 60) n")
    async with bench.relay(settings):
        await bench.until_arrived(60)


async def test_a_topic_without_a_stream_stops_only_its_own_bucket(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, "
        "aggregateid text, type text, payload jsonb)"
    )
    await bench.make_stream()
    settings = bench.settings(
        tables=(Table(table="ob", preset="debezium", topic="{aggregatetype}"),),
        broker_create=False,
        on_refused="block",
    )
    await bench.init(settings)
    insert = "INSERT INTO ob (aggregatetype, aggregateid, type, payload) VALUES ($1, $2, 'made', '{}')"
    async with bench.relay(settings) as relay:
        await bench.service.execute(insert, f"{bench.stream}.a b", "hostile")
        await bench.service.execute(insert, f"nowhere{bench.stream}.x", "lost")
        await bench.service.execute(insert, f"{bench.stream}.good", "k")
        assert [each.key for each in await bench.until_arrived(1)] == ["k"]

        async def both() -> bool:
            return len((await relay.status())[0].stopped) == 2

        await until(both)
        reasons = " ".join(stop.reason for stop in (await relay.status())[0].stopped)
        assert "no stream of the server takes its topic" in reasons
        assert "a space or a wildcard" in reasons


async def test_a_relay_that_stops_in_order_leaves_no_duplicates(bench: Bench) -> None:
    await bench.make_stream()
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),), page=10)
    await bench.init(settings)
    await bench.service.execute("INSERT INTO t SELECT generate_series(1, 3000)")
    for _ in range(4):
        before = await bench.count()
        async with bench.relay(settings):
            await until(lambda before=before: later(bench, before), within=30)
    async with bench.relay(settings):
        arrived = await bench.until_arrived(3000, within=120)
        await asyncio.sleep(0.5)
    assert len(arrived) == 3000 == await bench.count()


async def later(bench: Bench, before: int) -> bool:
    return await bench.count() > before


async def test_only_what_was_published_is_cleaned_up(bench: Bench) -> None:
    await bench.make_stream(max_msg_size=3000)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    settings = bench.settings(changes=(Changes(table="t"),), retention=0.5)
    await bench.init(settings)
    await bench.service.execute("INSERT INTO t VALUES (1, repeat('x', 4000)), (2, 'small')")
    async with bench.relay(settings):

        async def one_left() -> bool:
            return [row["key"] for row in await bench.outbox()] == ["1"]

        await until(one_left, within=40)
        await asyncio.sleep(1)
        assert await one_left()


async def test_a_sampled_trace_gets_a_span_of_the_agent(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    async with bench.relay(settings, tracer=provider.get_tracer("agent")):
        await bench.service.execute(f"INSERT INTO t VALUES (1) /*traceparent='{TRACE}'*/")
        await bench.service.execute(f"INSERT INTO t VALUES (2) /*traceparent='{TRACE[:-1]}0'*/")
        await bench.service.execute("INSERT INTO t VALUES (3)")
        await bench.until_arrived(3)
    (span,) = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE.split("-")[1]
    assert f"{span.parent.span_id:016x}" == TRACE.split("-")[2]
    assert span.attributes["messaging.destination.name"] == f"{bench.stream}.t"


async def test_a_broker_with_a_password_is_spoken_to_with_it(bench: Bench, tmp_path: Path) -> None:
    server = backing.Nats(tmp_path / "nats")
    server.argv += ["--user", "shop", "--pass", "p-w"]
    await asyncio.to_thread(server.start)
    try:
        await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
        bench.nats_url = server.url.replace("//", "//shop:wrong@")
        settings = bench.settings(changes=(Changes(table="t"),))
        await bench.init(settings)
        await bench.service.execute("INSERT INTO t VALUES (1)")
        async with bench.relay(settings) as relay:

            async def refused() -> str:
                problem = (await relay.status())[0].problem
                assert "uthorization" in problem
                return problem

            assert "wrong" not in await until(refused, within=20)
        bench.nats_url = server.url.replace("//", "//shop:p-w@")
        async with bench.relay(bench.settings(changes=(Changes(table="t"),))):
            await bench.until_arrived(1)
    finally:
        await asyncio.to_thread(server.stop)


async def test_the_status_from_the_database_tells_owner_and_backlog(bench: Bench) -> None:
    await bench.service.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE ob (id bigserial PRIMARY KEY, payload json)"
    )
    settings = bench.settings(changes=(Changes(table="t"),), tables=(Table(table="ob"),))
    async with Database(lambda: bench.url).connection() as connection:
        assert all("outbox init" in each.problem for each in await survey(connection, settings))
        await bench.init(settings)
        await bench.service.execute("INSERT INTO t VALUES (1), (2); INSERT INTO ob (payload) VALUES ('1')")
        before = {each.feed: each for each in await survey(connection, settings)}
        assert (before["pillion.outbox"].unsent, before["public.ob"].unsent) == (2, 1)
        assert before["pillion.outbox"].oldest is not None
        async with bench.relay(settings, identity="me"):
            await bench.until_arrived(3)

            async def sent() -> bool:
                found = await survey(connection, settings)
                return all(each.unsent == 0 and each.owner.startswith("me/") for each in found)

            await until(sent, within=30)
