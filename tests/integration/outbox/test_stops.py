"""One event that can't be had out holds up its bucket, and costs the others next to nothing."""

from collections import Counter

from agent.config.sections.outbox import Changes, Table
from agent.outbox import shape
from agent.outbox.feeds import feeds
from tests.integration.outbox.bench import Bench
from tests.waiting import until

FILL = (
    "INSERT INTO pillion.outbox (bucket, origin, type, key, payload) "
    "SELECT n & 63, 'public.t', 'c', n::text, '{}' FROM generate_series(1, $1::int) n"
)


async def test_what_is_behind_a_refused_event_is_not_sent_again_at_each_try(bench: Bench) -> None:
    await bench.make_stream(max_msg_size=3000)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    settings = bench.settings(changes=(Changes(table="t"),), on_refused="block")
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute(
            "INSERT INTO t SELECT n, CASE n WHEN 1 THEN repeat('x', 4000) ELSE 'ok' END "
            "FROM generate_series(1, 900) n"
        )

        async def tried() -> bool:
            return (bench.metric("pillion_outbox_refused_total") or 0) >= 4

        await until(tried, within=40)
        copies = Counter(each.headers["ce-id"] for each in await bench.arrived())
        assert max(copies.values()) == 1
        await bench.change_stream(max_msg_size=-1)

        async def all_there() -> bool:
            return len({each.headers["ce-id"] for each in await bench.arrived()}) == 900

        await until(all_there, within=60, every=0.2)
        copies = Counter(each.headers["ce-id"] for each in await bench.arrived())
        assert max(copies.values()) <= 2


async def test_half_a_tick_is_read_without_the_rows_behind_it(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    base = await bench.service.fetchval("SELECT pg_current_snapshot()::text")
    await bench.service.execute(FILL, 10)
    target = await bench.service.fetchval("SELECT pg_current_snapshot()::text")
    await bench.service.execute(FILL, 50000)
    await bench.service.execute("ANALYZE pillion.outbox")
    sql = shape.own(feeds(settings)[0]).walk
    values = ["0", f"'{base}'", "'{1}'", "1000", "1000000", f"'{target}'", str(2**63 - 1)]
    for number, value in enumerate(values, 1):
        sql = sql.replace(f"${number}", value)
    (plan,) = await bench.service.fetchrow(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
    read = plan.count('"Rows Removed by Filter"') and max(
        int(line.rpartition(":")[2].strip(" ,"))
        for line in plan.splitlines()
        if "Rows Removed by Filter" in line
    )
    assert read <= 10, plan


async def test_an_event_that_nobody_acknowledges_stops_its_bucket_and_not_the_feed(bench: Bench) -> None:
    await bench.make_stream()
    await bench.change_stream(subjects=[f"{bench.stream}.good"])
    await bench.service.execute(
        "CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, "
        "aggregateid text, type text, payload jsonb)"
    )
    topic = f"{bench.stream}.{{aggregatetype}}"
    tables = (Table(table="ob", preset="debezium", topic=topic),)
    settings = bench.settings(tables=tables, broker_create=False, broker_timeout=2.0)
    await bench.init(settings)
    insert = "INSERT INTO ob (aggregatetype, aggregateid, payload) "
    async with bench.listener(), bench.relay(settings) as relay:
        await bench.service.execute(f"{insert} VALUES ('typo', '1', '{{}}')")
        await bench.service.execute(f"{insert} SELECT 'good', n::text, '{{}}' FROM generate_series(2, 20) n")
        await bench.until_arrived(19)

        async def stopped() -> bool:
            (status,) = await relay.status()
            return len(status.stopped) == 1 and not status.problem

        await until(stopped, within=40)
        await bench.service.execute(f"{insert} SELECT 'good', n::text, '{{}}' FROM generate_series(21, 30) n")
        await bench.until_arrived(29)
