"""Relays that share a feed: whole processes over a real PostgreSQL and a real stream."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.config.sections.outbox import Outbox
from agent.demo import backing
from agent.outbox.cursor import Place
from agent.outbox.database import Database
from agent.outbox.leases import Claim, Ledger, LostError
from agent.outbox.shares import Watch
from agent.outbox.snapshot import Snapshot
from tests.chaos.rig import FAKETIME
from tests.integration.outbox import test_parked
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_history import changed, complete
from tests.integration.outbox.test_leases import simple
from tests.waiting import until

FEED = "pillion.outbox"
COUNTS = """
SELECT split_part(owner, '/', 1) AS name, count(*)::int AS buckets FROM pillion.bucket
WHERE feed = $1 GROUP BY 1"""
EPOCHS = "SELECT bucket, owner, epoch FROM pillion.bucket WHERE feed = $1 ORDER BY bucket"
STEAL = "UPDATE pillion.bucket SET owner = 'thief/1', epoch = epoch + 1 WHERE feed = $1 AND bucket = ANY($2)"
HOUR = 3600


async def counts(bench: Bench) -> Mapping[str | None, int]:
    """How many buckets each has, by its identity."""
    return {row["name"]: row["buckets"] for row in await bench.service.fetch(COUNTS, FEED)}


def share(bench: Bench, **wanted: int) -> Callable[[], Any]:
    """Whether each has so many."""

    async def found() -> bool:
        seen = await counts(bench)
        assert seen == wanted
        return True

    return found


@contextlib.asynccontextmanager
async def two(bench: Bench, settings: Outbox, folder: Path) -> AsyncIterator[list[subprocess.Popen[bytes]]]:
    """Two processes that share the feed; those that are left are ended."""
    children = [bench.process(settings, folder, name) for name in ("one", "two")]
    await until(share(bench, one=32, two=32), within=60)
    try:
        yield children
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGCONT)
            child.terminate()
        for child in children:
            await asyncio.to_thread(child.wait, 30)


async def test_two_share_the_feed_and_hand_over_in_order_without_a_duplicate(
    bench: Bench, tmp_path: Path
) -> None:
    """One joins while the other is at work, and goes again."""
    # So long that no pause of a busy machine costs one its lease, after which events come twice.
    settings, log, work = await changed(bench, lease=8.0)
    work.start()
    bench.process(settings, tmp_path, "one")
    await until(share(bench, one=64), within=30)
    other = bench.process(settings, tmp_path, "two")
    await until(share(bench, one=32, two=32), within=60)
    await asyncio.sleep(1)
    other.terminate()
    assert await asyncio.to_thread(other.wait, 30) == 0
    await until(share(bench, one=64), within=30)
    await until(lambda: len(log.committed) > 200, within=60)
    await work.stop()
    verdict = await complete(bench, log)
    assert verdict.duplicates == 0


async def test_what_a_killed_relay_had_is_relayed_by_the_other_after_its_lease(
    bench: Bench, tmp_path: Path
) -> None:
    settings, log, work = await changed(bench, lease=4.0)
    work.start()
    async with two(bench, settings, tmp_path) as (_, other):
        await bench.until_beat("two")
        killed = time.monotonic()
        other.kill()
        await until(share(bench, one=64), within=settings.lease * 5)
        assert time.monotonic() - killed > settings.lease * 0.4, "it had shown that it was alive"
        await work.stop()
        await complete(bench, log)


async def test_one_that_stood_still_past_its_lease_moves_nothing_and_comes_back(
    bench: Bench, tmp_path: Path
) -> None:
    settings, log, work = await changed(bench, lease=5.0)
    work.start()
    async with two(bench, settings, tmp_path) as (_, other):
        saved = await until_saved(bench, "two")
        os.kill(other.pid, signal.SIGSTOP)
        stopped = time.time()
        await until(share(bench, one=64), within=settings.lease * 5)
        before = {row["bucket"]: row["epoch"] for row in await bench.service.fetch(EPOCHS, FEED)}
        os.kill(other.pid, signal.SIGCONT)
        await until(share(bench, one=32, two=32), within=settings.lease * 5)
        after = {row["bucket"]: row["epoch"] for row in await bench.service.fetch(EPOCHS, FEED)}
        assert sorted(after[bucket] - before[bucket] for bucket in before) == [0] * 32 + [2] * 32, (
            "half of the buckets were given up and taken, once each"
        )
        await work.stop()
        verdict = await complete(bench, log)
    # At the most what it published since its last save, and a page that it had on its way.
    recent = [each for each in await bench.arrived() if saved - 1.5 < each.at <= stopped]
    assert verdict.duplicates <= len(recent) + 2 * settings.page


async def until_saved(bench: Bench, name: str) -> float:
    """Wait until the relay of this identity has just saved where it is; the wall-clock time of that."""
    places = (
        "SELECT string_agg(concat(base, target, pos), ' ' ORDER BY bucket) FROM pillion.bucket "
        "WHERE split_part(owner, '/', 1) = $1"
    )
    before = await bench.service.fetchval(places, name)

    async def moved() -> bool:
        return await bench.service.fetchval(places, name) != before

    await until(moved, within=30)
    return time.time()


async def test_who_loses_some_buckets_loses_only_those(bench: Bench, tmp_path: Path) -> None:
    # So long that nobody waits for a whole one on a busy machine: what is not taken by then is taken by the other.
    settings, log, work = await changed(bench, lease=6.0)
    work.start()
    async with two(bench, settings, tmp_path):
        before = {row["bucket"]: row for row in await bench.service.fetch(EPOCHS, FEED)}
        stolen = [bucket for bucket in before if bucket % 8 < 3]
        for _ in range(4):
            await bench.service.execute(STEAL, FEED, stolen)
            await until(share(bench, one=32, two=32), within=30)
        after = {row["bucket"]: row for row in await bench.service.fetch(EPOCHS, FEED)}
        for bucket, row in before.items():
            if bucket not in stolen:
                assert after[bucket] == row, "it was taken anew though nobody stole it"
            else:
                assert after[bucket]["epoch"] == row["epoch"] + 8
        await work.stop()
        await complete(bench, log)


async def test_what_was_taken_and_not_heard_of_is_taken_anew(bench: Bench) -> None:
    """As where the answer to an exchange was lost: the rows say that it has them, and it does not know."""
    settings = await simple(bench)
    async with bench.relay(settings, identity="one"):
        await until(share(bench, one=64))
        await bench.service.execute("UPDATE pillion.bucket SET epoch = epoch + 1")
        await bench.service.execute("INSERT INTO orders (item) SELECT n FROM generate_series(1, 100) n")
        await bench.until_arrived(100)
        assert await counts(bench) == {"one": 64}


async def test_killed_backends_are_no_more_than_a_pause(bench: Bench, tmp_path: Path) -> None:
    settings, log, work = await changed(bench, lease=3.0)
    async with two(bench, settings, tmp_path):
        work.start()
        for _ in range(6):
            await asyncio.sleep(0.5)
            await bench.end_sessions()
        await work.stop()
        await complete(bench, log)
        await until(share(bench, one=32, two=32), within=60)


async def test_who_stands_still_while_he_changes_owners_holds_up_nobody_for_long(bench: Bench) -> None:
    settings = await simple(bench, lease=4.0)
    async with bench.relay(settings, identity="one"):
        await until(share(bench, one=64))
        other = await bench.connect()
        await other.execute("BEGIN; SELECT FROM pillion.feed FOR NO KEY UPDATE")
        await bench.service.execute(STEAL, FEED, list(range(0, 64, 2)))
        started = time.monotonic()
        written = 0
        while time.monotonic() < started + settings.lease * 1.5:
            written += 1
            await bench.service.execute("INSERT INTO orders (item) VALUES ('x')")
            await asyncio.sleep(0.02)
        arrived = await bench.count()
        assert arrived > written / 4, "what it still had was not relayed meanwhile"
        await other.execute("ROLLBACK")
        await until(share(bench, one=64), within=30)
        await until(lambda: all_arrived(bench, written), within=30)


async def all_arrived(bench: Bench, count: int) -> bool:
    """Whether that many different events are there."""
    return len({each.headers["ce-id"] for each in await bench.arrived()}) == count


async def test_one_that_can_not_reach_the_broker_takes_nothing_from_one_that_can(bench: Bench) -> None:
    settings = await simple(bench, lease=4.0)
    broken = msgspec.structs.replace(
        settings, broker=msgspec.structs.replace(settings.broker, url="nats://127.0.0.1:1")
    )
    async with bench.relay(settings, identity="one"):
        await until(share(bench, one=64))
        async with bench.relay(broken, identity="two") as other:

            async def said() -> bool:
                return bool((await other.status())[0].problem)

            await until(said)
            await asyncio.sleep(settings.lease * 1.5)
            assert await counts(bench) == {"one": 64}
            assert await bench.service.fetchval("SELECT count(*) FROM pillion.relay") == 1


async def test_the_owner_of_a_bucket_replays_its_keys_also_after_it_changed_hands(
    bench: Bench, tmp_path: Path
) -> None:
    """Keys that one parked are known to the one that got their bucket, who appends to them and sends them."""
    await bench.make_stream(max_msg_size=3000)
    settings = await simple(bench, lease=4.0)
    async with bench.relay(settings, identity="one"):
        await bench.service.execute(
            "INSERT INTO orders (item) SELECT repeat('x', 4000) FROM generate_series(1, 40)"
        )

        async def parked() -> bool:
            return bool(await bench.service.fetchval("SELECT count(*) = 40 FROM pillion.held_row"))

        await until(parked, within=30)
        async with bench.relay(settings, identity="two"):
            await until(share(bench, one=32, two=32), within=60)
            await bench.service.execute("UPDATE orders SET item = 'small'")

            async def appended() -> bool:
                return bool(await bench.service.fetchval("SELECT count(*) = 80 FROM pillion.held_row"))

            await until(appended, within=30)
            assert await bench.count() == 0
            await bench.change_stream(max_msg_size=-1)
            await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
            arrived = await bench.until_arrived(80)
            await test_parked.none_left(bench)
    for key in range(1, 41):
        mine = dict.fromkeys(each.headers["ce-type"] for each in arrived if each.key == str(key))
        assert [*mine] == ["orders.created", "orders.updated"]


async def test_buckets_stolen_while_keys_are_set_aside_cost_neither_the_rest_nor_a_row(bench: Bench) -> None:
    """Whoever is refused a statement about a key of a stolen bucket goes on with all other buckets."""
    settings = await test_parked.prepared(bench, lease=4.0, page=10)
    chance = random.Random(4)
    last = dict.fromkeys(range(20), 0)
    async with bench.relay(settings, identity="one"), bench.relay(settings, identity="two"):
        await until(share(bench, one=32, two=32), within=60)
        before = await bench.service.fetch("SELECT id FROM pillion.relay ORDER BY id")
        for number in range(300):
            key = chance.randrange(20)
            last[key] += 1
            await test_parked.write(bench, key, last[key], big=chance.random() < 0.2)
            if number % 10 == 0:
                await bench.service.execute(STEAL, FEED, chance.sample(range(64), 30))
        await until(share(bench, one=32, two=32), within=60)
        assert await bench.service.fetch("SELECT id FROM pillion.relay ORDER BY id") == before
        await bench.change_stream(max_msg_size=-1)

        async def asked() -> bool:
            await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
            arrived = await bench.arrived()
            return all(
                len(test_parked.seen(arrived, key)) == versions for key, versions in last.items() if versions
            )

        await until(asked, within=60, every=0.5)
        arrived = await bench.arrived()
    for key, versions in last.items():
        assert test_parked.seen(arrived, key) == list(range(1, versions + 1))


async def test_a_relay_that_has_no_share_yet_is_an_owner_to_who_adopts(bench: Bench) -> None:
    await simple(bench)
    ledger = Ledger("pillion", FEED, time.monotonic)
    async with Database(lambda: bench.url).connection() as connection:
        for name in ("one/1", "two/1"):
            assert await ledger.join(connection, name, Watch(60.0, time.monotonic, lambda _: False), 2)
        owners = await ledger.owners(connection)
    assert [(each.name, each.buckets, each.beat is None) for each in owners] == [
        ("one/1", 64, False),
        ("two/1", 0, False),
    ]


async def test_what_is_given_up_is_saved_and_fenced_in_one(bench: Bench) -> None:
    await simple(bench)
    ledger = Ledger("pillion", FEED, time.monotonic)
    now = [0.0]

    def clock() -> float:
        return now[0]

    ours = Watch(1.0, clock, lambda _: False)
    ledger = Ledger("pillion", FEED, clock)
    async with (
        Database(lambda: bench.url).connection() as one,
        Database(lambda: bench.url).connection() as two,
    ):
        first = await ledger.join(one, "one/1", ours, 2)
        second = await ledger.join(two, "two/1", Watch(1.0, clock, lambda _: False), 2)
        assert isinstance(first, Claim)
        assert isinstance(second, Claim)
        for _ in range(8):
            now[0] += 0.3
            await ledger.beat(one, first)
            await ledger.beat(two, second)
            await ledger.look(one, ours)
        far = Place(Snapshot(10**9, 10**9))
        places = dict.fromkeys(range(64), far)
        done = await ledger.exchange(one, first, ours, places, range(64))
        assert done.given == set(range(32, 64))
        rows = await bench.service.fetch("SELECT bucket, owner, base::text FROM pillion.bucket ORDER BY 1")
        assert all((row["owner"], row["base"]) == (None, str(far.base)) for row in rows[32:])
        assert all(row["owner"] == "one/1" and row["base"] != str(far.base) for row in rows[:32])
        behind = dict.fromkeys(range(32, 64), Place(Snapshot(1, 1)))
        assert await ledger.save(one, first, behind) == set(behind), "a late save counts no more"
        taken = (await ledger.exchange(two, second, ours, {}, ())).taken
        assert taken.places == dict.fromkeys(range(32, 64), far)
        assert await ledger.save(one, first, behind) == set(behind)
        await bench.service.execute("UPDATE pillion.feed SET history = history + 1")
        with pytest.raises(LostError, match="another one now"):
            await ledger.exchange(two, second, ours, {}, ())


@pytest.fixture
def clock_file(server_folder: Path) -> Path:
    """What moves the wall clock of those that it is given to; PostgreSQL's user can read it."""
    file = server_folder / f"clock-{uuid.uuid4().hex}"
    file.write_text("+0")
    file.chmod(0o644)
    if not FAKETIME.exists():
        reason = "this needs Debian's package libfaketime"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    return file


def moved_by(file: Path) -> dict[str, str]:
    """What the environment of a process needs whose wall clock the file moves, and no other clock."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


async def sway(file: Path, bench: Bench) -> Mapping[int, Any]:
    """Move the clock by an hour on and back, again and again; who has what at which epoch then."""
    for offset in (HOUR, -HOUR, 0, HOUR, 0):
        file.write_text(f"{offset:+d}")
        # Longer than from one beat and one look to the next: an hour is more than any lease.
        await asyncio.sleep(2)
    return {row["bucket"]: row for row in await bench.service.fetch(EPOCHS, FEED)}


async def test_a_relay_whose_clock_is_moved_by_an_hour_keeps_its_share(
    bench: Bench, tmp_path: Path, clock_file: Path
) -> None:
    settings, log, work = await changed(bench, lease=8.0)
    bench.env = {**os.environ, **moved_by(clock_file)}
    work.start()
    async with two(bench, settings, tmp_path):
        before = {row["bucket"]: row for row in await bench.service.fetch(EPOCHS, FEED)}
        assert await sway(clock_file, bench) == before
        await work.stop()
        verdict = await complete(bench, log)
    assert verdict.duplicates == 0


async def test_a_database_whose_clock_is_moved_by_an_hour_changes_no_owner(
    tmp_path: Path, server_folder: Path, clock_file: Path, shared_nats: backing.Nats
) -> None:
    server = backing.Postgres(server_folder / f"{clock_file.name}-postgres", settings={"fsync": "off"})
    server.argv = [
        "/usr/bin/env",
        *(f"{name}={value}" for name, value in moved_by(clock_file).items()),
        *server.argv,
    ]
    server.start()
    bench = Bench(server.url, shared_nats.url)
    try:
        await bench.open()
        real = time.time()
        settings, log, work = await changed(bench, lease=8.0)
        work.start()
        async with two(bench, settings, tmp_path):
            before = {row["bucket"]: row for row in await bench.service.fetch(EPOCHS, FEED)}
            clock_file.write_text(f"+{HOUR}")
            skew = await bench.service.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8") - real
            assert skew > HOUR - 60, "the clock was not moved"
            assert await sway(clock_file, bench) == before
            await work.stop()
            verdict = await complete(bench, log)
        assert verdict.duplicates == 0
    finally:
        await bench.close()
        server.stop()
