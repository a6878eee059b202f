"""What a crash of PostgreSQL takes back must not have been published."""

import asyncio
import signal
import uuid
from pathlib import Path

from agent.config.sections.outbox import Changes
from agent.demo import backing
from tests.integration.outbox.bench import Bench

LEAST, MOST = 6, 20
"""Crashes."""


async def test_an_asynchronous_commit_is_published_only_once_it_can_not_vanish(
    server_folder: Path, shared_nats: backing.Nats
) -> None:
    """PostgreSQL flushes its log as late as it may and crashes just after such commits, again and again."""
    late = {
        "wal_writer_delay": "10000",
        "wal_writer_flush_after": "100000",
        "fsync": "off",
        "autovacuum": "off",
    }
    server = backing.Postgres(server_folder / uuid.uuid4().hex[:8], settings=late)
    await asyncio.to_thread(server.start)
    bench = Bench(server.url, shared_nats.url)
    try:
        await bench.open()
        await bench.service.execute("CREATE TABLE t (id bigserial PRIMARY KEY)")
        settings = bench.settings(changes=(Changes(table="t"),), retention=0.0, lease=20.0)
        await bench.init(settings)
        rounds = vanished = 0
        async with bench.relay(settings):
            # On a busy machine the crash comes too late for a commit to vanish, again and again.
            while rounds < LEAST or (not vanished and rounds < MOST):
                rounds += 1
                committed = await commit_and_crash(bench, server)
                kept = {str(row["event"]) for row in await bench.outbox()}
                vanished += committed not in kept
                await bench.until_arrived(len(kept), within=60)
                arrived = {each.headers["ce-id"] for each in await bench.arrived()}
                assert arrived == kept, "published, and then taken back by the crash"
        assert vanished, "no commit vanished: the test shows nothing"
    finally:
        await bench.close()
        await asyncio.to_thread(server.stop)


async def commit_and_crash(bench: Bench, server: backing.Postgres) -> str:
    """Keep the relay awake, commit without waiting for the disk, crash a moment later, start again; the
    event's id."""
    before = len(await bench.outbox())
    await bench.service.execute("INSERT INTO t DEFAULT VALUES")
    await bench.until_arrived(before + 1, within=60)
    for _ in range(3):
        await bench.service.execute("INSERT INTO t DEFAULT VALUES")
    hasty = await bench.connect(synchronous_commit="off")
    await hasty.execute("INSERT INTO t DEFAULT VALUES")
    event = str(await hasty.fetchval("SELECT event FROM pillion.outbox ORDER BY id DESC LIMIT 1"))
    # Long enough to read and publish it, shorter than the relay waits for others to flush the log.
    await asyncio.sleep(0.03)
    await asyncio.to_thread(server.stop, 20, signal.SIGQUIT)
    await asyncio.to_thread(server.start)
    bench.service = await bench.connect()
    return event
