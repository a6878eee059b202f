"""A stream that is full takes nothing from anybody: the broker is away, and no event is to blame."""

from agent.config.sections.outbox import Changes
from tests.integration.outbox.bench import Bench
from tests.waiting import until


async def test_a_full_stream_stops_no_bucket_and_everything_arrives_in_order_once_there_is_room(
    bench: Bench,
) -> None:
    await bench.make_stream()
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    async with bench.relay(settings) as relay:
        await bench.service.execute("INSERT INTO t VALUES (0, 0)")
        await bench.until_arrived(1)
        await bench.change_stream(max_bytes=1, discard="new")
        await bench.service.execute("INSERT INTO t SELECT n, 0 FROM generate_series(1, 50) n")
        await bench.service.execute("UPDATE t SET v = 1")

        async def away() -> bool:
            return "maximum bytes exceeded" in (await relay.status())[0].problem

        await until(away)
        assert bench.metric("pillion_outbox_refused_total") == 0
        assert bench.metric("pillion_outbox_stopped_buckets") == 0
        await bench.change_stream(max_bytes=-1)
        arrived = await bench.until_arrived(102)

        async def well() -> bool:
            return (await relay.status())[0].problem == ""

        await until(well)
    # What was taken just as there was room again, and not acknowledged, comes once more.
    seen = list(dict.fromkeys((each.key, each.data["after"]["v"]) for each in arrived))
    assert sorted(seen) == sorted((str(n), v) for n in range(51) for v in range(2))
    assert all(seen.index((key, 0)) < seen.index((key, 1)) for key, _ in seen)
