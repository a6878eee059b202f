"""The relay holds itself back: to the rate that is set, and before the service's database suffers."""

import itertools
from urllib.parse import urlsplit

import msgspec

from agent.config.sections.outbox import Outbox, Table
from tests.chaos.network import Network
from tests.integration.outbox.bench import Bench
from tests.waiting import until

TABLE = "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, type text, payload text)"
FILL = "INSERT INTO ob (key, type, payload) SELECT n % 100, 'made', n FROM generate_series(1, $1::int) n"


async def settings_of(bench: Bench, **more: float) -> Outbox:
    await bench.service.execute(TABLE)
    settings = bench.settings(tables=(Table(table="ob"),), **more)
    await bench.init(settings)
    return settings


async def test_a_backlog_is_worked_off_no_faster_than_the_rate_that_is_set(bench: Bench) -> None:
    settings = await settings_of(bench, drain_rate=200.0)
    await bench.service.execute(FILL, 500)
    async with bench.relay(settings):
        arrived = await bench.until_arrived(500)
    times = sorted(each.at for each in arrived)
    busiest = max(bisected(times, at + 1.0) - place for place, at in enumerate(times))
    assert busiest <= 230, "more came within one second"
    # While nothing else held it up: a whole run may be slow on a busy machine.
    quickest = min(later - at for at, later in zip(times, times[100:], strict=False))
    assert quickest <= 1.0, "and no slower than it must be: 100 in half a second"


def bisected(times: list[float], at: float) -> int:
    return sum(1 for each in times if each < at)


async def test_a_database_that_answers_late_slows_the_relay_until_it_is_well(bench: Bench) -> None:
    settings = await settings_of(bench, max_db_latency=0.1)
    network = Network(urlsplit(bench.url).port or 5432)
    await network.start()
    numbers = itertools.count(1)
    through = bench.url.replace(f":{urlsplit(bench.url).port}/", f":{network.port}/")
    try:
        async with bench.relay(msgspec.structs.replace(settings, database=through)) as relay:

            async def says(words: str) -> bool:
                await bench.service.execute(
                    "INSERT INTO ob (key, payload) VALUES ('k', $1)", str(next(numbers))
                )
                (status,) = await relay.status()
                assert (words in status.problem) if words else not status.problem, status
                return True

            await until(lambda: says(""), within=40)
            await bench.until_arrived(1)
            network.delay = 0.3
            await until(lambda: says("answers late"), within=40)
            network.heal()
            await until(lambda: says(""), within=40)
            count = await bench.service.fetchval("SELECT count(*) FROM ob")
            await bench.until_arrived(count)
    finally:
        await network.stop()
