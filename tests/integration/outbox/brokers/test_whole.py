"""A whole relay, from a service's database to each broker."""

import asyncio

import msgspec

from agent.config.sections.outbox import Changes
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.brokers.rig import Rig, Stored
from tests.waiting import until

WRITERS, TIMES = 12, 10


async def test_what_twelve_writers_commit_arrives_in_order_also_over_a_relay_that_is_replaced(
    own_database: str, rig: Rig, place: str
) -> None:
    bench = Bench(own_database, "")
    bench.stream = place  # topics lie in the place
    await bench.open()
    try:
        await bench.service.execute("CREATE TABLE orders (id int PRIMARY KEY, version int)")
        settings = bench.settings(changes=(Changes(table="orders"),))
        settings = msgspec.structs.replace(settings, broker=rig.settings(place))
        await bench.init(settings)
        writing = asyncio.gather(*(write(bench, row) for row in range(WRITERS)))
        try:
            async with bench.relay(settings):
                await until(lambda: (bench.metric("pillion_outbox_published_total") or 0) > 20, within=60)
            async with bench.relay(settings):
                await writing

                async def all_there() -> list[Stored]:
                    found = await rig.read(place)
                    assert len({each.attributes["id"] for each in found}) == WRITERS * TIMES, (
                        bench.board.reports
                    )
                    return found

                found = await until(all_there, within=120, every=0.5)
        finally:
            writing.cancel()
            await asyncio.wait([writing])
    finally:
        await bench.close()
    seen: dict[str, list[int]] = {}
    ids: set[str] = set()
    for each in found:
        if each.attributes["id"] not in ids:
            ids.add(each.attributes["id"])
            seen.setdefault(each.attributes["partitionkey"], []).append(
                msgspec.json.decode(each.body)["after"]["version"]
            )
    assert len(seen) == WRITERS
    assert all(versions == list(range(TIMES)) for versions in seen.values())


async def write(bench: Bench, row: int) -> None:
    """A row that is inserted, then changed again and again."""
    service = await bench.connect()
    await service.execute("INSERT INTO orders VALUES ($1, 0)", row)
    for version in range(1, TIMES):
        async with service.transaction():
            await service.execute("UPDATE orders SET version = $2 WHERE id = $1", row, version)
        await asyncio.sleep(0.05)
