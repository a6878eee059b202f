"""Who takes over when, and what a relay that lost its feed can still do. With ``outbox.relays`` 1 one takes it all from
another."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from agent.config.sections.outbox import Changes, Outbox
from agent.outbox.cursor import Place
from agent.outbox.database import Database, LockedError
from agent.outbox.leases import Claim, Ledger, LostError
from agent.outbox.shares import Watch
from agent.outbox.snapshot import Snapshot
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_history import changed, complete
from tests.waiting import until

FEED = "pillion.outbox"
MEMBERS = "SELECT id FROM pillion.relay"
OURS = """
SELECT pid FROM pg_stat_activity WHERE application_name = 'pillion' AND datname = current_database()"""


async def simple(bench: Bench, **more: object) -> Outbox:
    await bench.service.execute("CREATE TABLE orders (id serial PRIMARY KEY, item text)")
    settings = bench.settings(changes=(Changes(table="orders"),), **more)
    await bench.init(settings)
    return settings


async def test_of_two_relays_one_is_active_and_the_other_takes_over_when_it_stops(bench: Bench) -> None:
    settings = await simple(bench, relays=1)
    async with bench.relay(settings) as second_to_stop:
        async with bench.relay(settings) as other:

            async def one_active() -> bool:
                roles = sorted([(await each.status())[0].role for each in (second_to_stop, other)])
                return roles == ["active", "standby"]

            await until(one_active)
            await bench.service.execute("INSERT INTO orders (item) VALUES ('a')")
            await bench.until_arrived(1)
        stopped = time.monotonic()

        async def active() -> bool:
            return (await second_to_stop.status())[0].role == "active"

        await until(active, within=20)
        assert time.monotonic() - stopped < settings.lease, "a released feed need not wait for the lease"
        await bench.service.execute("INSERT INTO orders (item) VALUES ('b')")
        assert [each.data["after"]["item"] for each in await bench.until_arrived(2)] == ["a", "b"]


async def test_those_who_stand_by_hold_no_connection(bench: Bench) -> None:
    """Of 20 two relay, by two connections each; the others look every few seconds."""
    settings = await simple(bench, lease=5.0)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(bench.relay(settings))

        async def two_relay() -> bool:
            return len(await bench.service.fetch(MEMBERS)) == 2

        await until(two_relay, within=30)
        ends = time.monotonic() + settings.lease
        seen = []
        while time.monotonic() < ends:
            seen.append({row["pid"] for row in await bench.service.fetch(OURS)})
            await asyncio.sleep(0.02)
        assert len(set.intersection(*seen)) == 4, "those who relay have two each, and nobody else has any"
        assert sorted(map(len, seen))[len(seen) // 2] < 4 + 18 / 2, "those who stand by hold connections"
        assert len(await bench.service.fetch(MEMBERS)) == 2


async def test_a_killed_relay_is_replaced_after_its_lease(bench: Bench, tmp_path: Path) -> None:
    settings = await simple(bench, relays=1, lease=4.0)
    child = bench.process(settings, tmp_path, "one")
    await until(lambda: bench.owner(FEED), within=30)
    dead = await bench.owner(FEED)
    async with bench.relay(settings, identity="two"):
        await asyncio.sleep(settings.lease * 1.5)
        assert await bench.owner(FEED) == dead, "taken from a relay that is alive"
        await bench.until_beat("one")
        killed = time.monotonic()
        child.kill()

        async def other() -> bool:
            return await bench.owner(FEED) != dead

        await until(other, within=settings.lease * 5)
        assert time.monotonic() - killed > settings.lease * 0.4, "it had shown that it was alive"


async def test_a_relay_that_stood_still_past_its_lease_moves_nothing(bench: Bench, tmp_path: Path) -> None:
    settings, log, work = await changed(bench, relays=1, lease=4.0)
    work.start()
    child = bench.process(settings, tmp_path, "one")
    await until(lambda: bench.owner(FEED), within=30)
    zombie = await bench.owner(FEED)
    os.kill(child.pid, signal.SIGSTOP)
    async with bench.relay(settings, identity="two"):

        async def taken() -> bool:
            return (await bench.owner(FEED) or "").startswith("two/")

        await until(taken, within=settings.lease * 5)
        os.kill(child.pid, signal.SIGCONT)
        await until(lambda: "outbox.degraded" in bench.told(tmp_path), within=30)
        await asyncio.sleep(1)
        assert (await bench.owner(FEED) or "").startswith("two/")
        assert child.poll() is None
        await work.stop()
        await complete(bench, log)
    child.kill()
    assert zombie != await bench.owner(FEED)


def watch(former: bool = False) -> Watch:
    """Of somebody who has seen nobody yet; ``former``: and takes all for dead."""
    return Watch(60.0, time.monotonic, lambda _: former)


async def test_a_relay_gives_back_all_at_once_or_nothing(bench: Bench) -> None:
    """In between others would leave a share for who is gone, or take its buckets for those of a dead one."""
    await simple(bench)
    ledger = Ledger("pillion", FEED, time.monotonic)
    async with Database(lambda: bench.url).connection() as connection:
        claim = await ledger.join(connection, "one/1", watch(), 1)
        assert claim is not None
        for table in ("relay", "bucket"):
            async with bench.service.transaction():
                await bench.service.execute(f"SELECT FROM pillion.{table} FOR UPDATE")
                with pytest.raises(LockedError):
                    await ledger.release(connection, claim)
            view = await ledger.view(connection)
            assert (set(view.beats), set(view.owners.values())) == ({"one/1"}, {"one/1"})
        await ledger.release(connection, claim)
        view = await ledger.view(connection)
        assert (set(view.beats), set(view.owners.values())) == (set(), {None})


async def test_a_former_owner_can_save_nothing(bench: Bench) -> None:
    """The fence itself, without a relay that would notice its loss first."""
    await simple(bench)
    ledger = Ledger("pillion", FEED, time.monotonic)
    async with (
        Database(lambda: bench.url).connection() as one,
        Database(lambda: bench.url).connection() as two,
    ):
        first = await ledger.join(one, "one/1", watch(), 1)
        second = await ledger.join(two, "two/1", watch(former=True), 1)
        assert isinstance(first, Claim)
        assert isinstance(second, Claim)
        assert len(first.epochs) == len(second.epochs) == 64
        far = Place(Snapshot(10**9, 10**9))
        everything = dict.fromkeys(range(64), far)
        before = await bench.service.fetch("SELECT * FROM pillion.bucket ORDER BY bucket")
        assert await ledger.save(one, first, everything) == set(range(64))
        for late in (
            ledger.beat(one, first),
            ledger.exchange(one, first, watch(former=True), everything, range(64)),
        ):
            with pytest.raises(LostError):
                await late
        await ledger.release(one, first)
        assert await bench.service.fetch("SELECT * FROM pillion.bucket ORDER BY bucket") == before
        assert await ledger.save(two, second, {3: far}) == frozenset()
        assert await bench.service.fetchval("SELECT base::text FROM pillion.bucket WHERE bucket = 3") == str(
            far.base
        )


@pytest.mark.parametrize("most", [1, 3])
async def test_of_many_that_join_at_once_as_many_do_as_may(bench: Bench, most: int) -> None:
    await simple(bench)
    ledger = Ledger("pillion", FEED, time.monotonic)

    # Each waits for those before it, which may take long on a busy machine.
    database = Database(lambda: bench.url, settings={"lock_timeout": "60000"})

    async def join(number: int) -> Claim | None:
        async with database.connection() as connection:
            return await ledger.join(connection, f"r{number}/1", watch(), most)

    claims = [each for each in await asyncio.gather(*(join(number) for number in range(8))) if each]
    assert len(claims) == most
    assert sorted(bucket for each in claims for bucket in each.epochs) == list(range(64))


async def test_another_cluster_stops_the_relay_with_a_word(bench: Bench) -> None:
    settings = await simple(bench)
    await bench.service.execute("UPDATE pillion.feed SET system_id = '1'")
    await bench.service.execute("INSERT INTO orders (item) VALUES ('a')")
    async with bench.relay(settings) as relay:

        async def said() -> bool:
            return "another PostgreSQL cluster" in (await relay.status())[0].problem

        await until(said)
        assert await bench.owner(FEED) is None
        assert await bench.count() == 0


async def test_a_killed_backend_is_no_more_than_a_pause(bench: Bench) -> None:
    settings, log, work = await changed(bench)
    async with bench.relay(settings):
        work.start()
        for _ in range(5):
            await asyncio.sleep(0.5)
            await bench.end_sessions()
        await work.stop()
        await complete(bench, log)
