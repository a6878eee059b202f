"""Everything that was committed arrives, nothing else does, and a key's events arrive in order, whatever
happens meanwhile."""

import asyncio
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from agent.config.sections.outbox import Changes, Outbox, Table
from agent.demo import backing
from tests.integration.outbox import history
from tests.integration.outbox.bench import Bench, read_stream
from tests.waiting import until

FEEDS = {"changes": "pillion.outbox", "table": "public.ob"}
LONG = 9.0
"""Seconds for which a transaction is open: far longer than a machine under load keeps any event waiting."""


async def prepared(bench: Bench, mode: str, **more: Any) -> Outbox:
    """Tables, stream and Pillion's own, with pages so small that a tick has many."""
    await bench.service.execute(history.AGGREGATE)
    more = {"page": 10, **more}
    if mode == "table":
        await bench.service.execute(history.OUTBOX)
        settings = bench.settings(tables=(Table(table="ob"),), **more)
    else:
        settings = bench.settings(changes=(Changes(table="aggregate"),), **more)
    await bench.init(settings)
    return settings


def writers(bench: Bench, mode: str, log: history.History, seed: int = 1) -> history.Writers:
    return history.Writers(bench.connect, log, note=mode == "table", seed=seed)


async def changed(bench: Bench, **more: Any) -> tuple[Outbox, history.History, history.Writers]:
    """A stream, a database whose changes are events, and writers of it that are still to be started."""
    await bench.make_stream()
    settings = await prepared(bench, "changes", **more)
    log = history.History()
    return settings, log, writers(bench, "changes", log)


REPLAY = "UPDATE pillion.held_key SET state = 'replaying' WHERE state = 'parked'"
"""As a person does where a row was taken for one that ends the process: whoever is killed often enough had some row on
its way, twice in a row perhaps the same one."""


async def complete(
    bench: Bench, log: history.History, within: float = 60.0, url: str = "", *, replayed: bool = False
) -> history.Verdict:
    """Wait until all that was committed arrived, and check it; ``replayed``: also what was set aside."""

    async def all_there() -> history.Verdict:
        if replayed:
            await bench.service.execute(REPLAY)
        verdict = history.check(log, await read_stream(url or bench.nats_url, bench.stream))
        assert not verdict.missing, verdict
        return verdict

    verdict = await until(all_there, within=within, every=0.2)
    assert not verdict.phantom
    assert not verdict.inversions
    return verdict


@pytest.mark.parametrize("mode", ["changes", "table"])
async def test_nothing_is_skipped_inverted_or_held_up_by_late_commits(bench: Bench, mode: str) -> None:
    await bench.make_stream()
    settings = await prepared(bench, mode)
    log = history.History()
    work = writers(bench, mode, log)
    async with bench.relay(settings):
        work.start(long=LONG)
        await asyncio.sleep(LONG / 2)
        await until(lambda: len(log.committed) > 500, within=60)
        await work.stop()
        verdict = await complete(bench, log)
    assert verdict.duplicates == 0
    delays = [each.at - log.committed[history.version(each)] for each in await bench.arrived()]
    assert max(delays) < LONG / 2, f"events waited for the transaction that was open for {LONG:g} s"


async def test_a_tick_of_many_pages_is_read_whole(bench: Bench) -> None:
    """What piled up while no relay ran, and what was committed late into it."""
    await bench.make_stream()
    settings = await prepared(bench, "changes")
    log = history.History()
    work = writers(bench, "changes", log)
    work.start()
    await asyncio.sleep(3)
    async with bench.relay(settings):
        await asyncio.sleep(1)
        await work.stop()
        await complete(bench, log)


@pytest.mark.parametrize("mode", ["changes", "table"])
async def test_a_relay_killed_at_random_points_loses_and_inverts_nothing(
    bench: Bench, tmp_path: Path, mode: str
) -> None:
    await bench.make_stream()
    settings = await prepared(bench, mode, lease=2.0)
    log = history.History()
    work = writers(bench, mode, log, seed=2)
    work.start()
    chance = random.Random(5)
    former: str | None = None
    lives = []

    async def taken() -> bool:
        return await bench.owner(FEEDS[mode]) not in (None, former)

    for _ in range(10):
        child = bench.process(settings, tmp_path, "same")
        began = time.time()
        await until(taken, within=30)
        former = await bench.owner(FEEDS[mode])
        await asyncio.sleep(chance.random() * 1.2)
        child.send_signal(signal.SIGKILL)
        lives.append((began, time.time()))
        child.wait()
    await work.stop()
    async with bench.relay(settings):
        verdict = await complete(bench, log, replayed=True)
    # At the most what each published in its short life, and a page; what the one before it saved comes no more.
    recent = [
        each for each in await bench.arrived() if any(began < each.at <= ended for began, ended in lives)
    ]
    assert verdict.duplicates <= len(recent) + len(lives) * settings.page


async def test_a_broker_that_stops_for_10_seconds_loses_nothing(bench: Bench, tmp_path: Path) -> None:
    server = backing.Nats(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    try:
        bench.nats_url = server.url
        await bench.make_stream()
        settings = await prepared(bench, "changes")
        log = history.History()
        work = writers(bench, "changes", log)
        async with bench.relay(settings) as relay:
            work.start()
            await until(bench.count)
            await asyncio.to_thread(server.stop)

            async def away() -> bool:
                return "broker is away" in (await relay.status())[0].problem

            await until(away, within=20)
            await asyncio.sleep(10)
            await asyncio.to_thread(server.start)
            await work.stop()
            await complete(bench, log)

            async def well() -> bool:
                return (await relay.status())[0].problem == ""

            await until(well)
    finally:
        await asyncio.to_thread(server.stop)
