"""An outbox's lag rises whenever nothing gets on, whoever is asked, and falls when it does."""

from pathlib import Path

from agent.config.sections.outbox import Changes
from agent.demo import backing
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.conftest import bench, database_options
from tests.waiting import until

__all__ = ["bench", "database_options"]

LAG = "pillion_outbox_lag_seconds"
ACTIVE = "pillion_outbox_active"
LEASE = 30.0
"""Seconds of a lease that a busy machine renews late."""


async def table(bench: Bench) -> None:
    """A table whose changes are published."""
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")


def lag(bench: Bench) -> float:
    """The newest relay's."""
    value = bench.metric(LAG)
    assert value is not None
    return value


async def test_it_rises_while_the_broker_is_away_and_falls_when_it_is_back(
    bench: Bench, tmp_path: Path
) -> None:
    broker = backing.Nats(tmp_path / "nats")
    broker.start()
    bench.nats_url = broker.url
    await table(bench)
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    try:
        async with bench.relay(settings):
            await bench.service.execute("INSERT INTO t VALUES (1, 'first')")
            await bench.until_arrived(1)
            await until(lambda: lag(bench) < 1)
            broker.stop()
            await bench.service.execute("INSERT INTO t VALUES (2, 'second')")
            before = await until(lambda: lag(bench) if lag(bench) > 2 else 0)
            await until(lambda: bench.metric(ACTIVE) == 1)
            await until(lambda: lag(bench) > before + 1)
            await until(lambda: (bench.metric("pillion_outbox_broker_away_total") or 0) > 0)
            broker.start()
            await bench.until_arrived(2)
            await until(lambda: lag(bench) < 1)
    finally:
        broker.stop()


async def test_who_starts_while_the_broker_is_away_counts_from_its_start(
    bench: Bench, tmp_path: Path
) -> None:
    """Also over claims of its own that end: a relay that gets nowhere must not look as if it had."""
    broker = backing.Nats(tmp_path / "nats")
    bench.nats_url = broker.url
    await table(bench)
    settings = bench.settings(changes=(Changes(table="t"),))
    await bench.init(settings)
    await bench.service.execute("INSERT INTO t VALUES (1, 'first')")
    async with bench.relay(settings):
        await until(lambda: bench.metric(ACTIVE) == 1)
        await until(lambda: lag(bench) > 1)
        await bench.service.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'pillion%' AND datname = current_database()"
        )
        await until(lambda: bench.metric(ACTIVE) == 0, every=0.001)
        await until(lambda: bench.metric(ACTIVE) == 1)
        assert lag(bench) > 1


async def test_who_stands_by_shows_the_feed_and_knows_nothing(bench: Bench) -> None:
    await table(bench)
    settings = bench.settings(changes=(Changes(table="t"),), lease=LEASE)
    await bench.init(settings)
    async with bench.relay(settings):
        await until(lambda: bench.metric(ACTIVE) == 1)
        async with bench.relay(settings):
            await until(lambda: lag(bench) > 1.5)
            assert bench.metric(ACTIVE) == 0
            assert bench.metric("pillion_outbox_stopped_buckets") == 0


async def test_a_feed_that_nobody_can_have_is_shown_as_relayed_by_nobody(bench: Bench) -> None:
    """The database was never prepared; the alert on it needs a series that is 0, not one that is absent."""
    settings = bench.settings(changes=(Changes(table="t"),))
    async with bench.relay(settings):
        await until(lambda: lag(bench) > 1)
        assert bench.metric(ACTIVE) == 0


async def test_who_gave_the_feed_away_shows_none_of_its_stops(bench: Bench) -> None:
    await bench.make_stream(max_msg_size=3000)
    await table(bench)
    settings = bench.settings(changes=(Changes(table="t"),), on_refused="block", lease=LEASE)
    await bench.init(settings)
    async with bench.relay(settings):
        await bench.service.execute("INSERT INTO t VALUES (1, repeat('x', 4000))")
        await until(lambda: bench.metric("pillion_outbox_stopped_buckets") == 1)
        assert bench.metric(ACTIVE) == 1
    assert bench.metric("pillion_outbox_stopped_buckets") == 0
    assert bench.metric(ACTIVE) == 0
