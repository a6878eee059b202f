"""What a crash of PostgreSQL takes back must not have been published."""

import asyncio
import signal
import uuid
from pathlib import Path

import asyncpg

from agent.config.sections.outbox import Changes
from agent.demo import backing
from tests.integration.outbox.bench import Bench
from tests.waiting import until


async def test_an_asynchronous_commit_is_published_only_once_it_can_not_vanish(
    server_folder: Path, shared_nats: backing.Nats
) -> None:
    """PostgreSQL flushes its log as late as it may and crashes three times while events are written."""
    server = backing.Postgres(
        server_folder / uuid.uuid4().hex[:8], settings={"wal_writer_delay": "10000", "fsync": "off", "wal_writer_flush_after": "100000"}
    )
    server.start()
    bench = Bench(server.url, shared_nats.url)
    try:
        await bench.open()
        await bench.service.execute("CREATE TABLE t (id bigserial PRIMARY KEY, a int)")
        settings = bench.settings(changes=(Changes(table="t"),), retention=0.0, page=20, lease=20.0)
        await bench.init(settings)
        vanished = 0
        async with bench.relay(settings):
            for _ in range(3):
                before = await bench.count()
                written = await write_until_crash(bench, server, before + 100)
                bench.service = await bench.connect()
                kept = {str(row["event"]) for row in await bench.outbox()}
                arrived = {each.headers["ce-id"] for each in await bench.arrived()}
                assert arrived <= kept, "published, and then taken back by the crash"
                vanished += len(written - kept)
            total = len(await bench.outbox())
            await bench.until_arrived(total)
        assert vanished, "no commit vanished: the test shows nothing"
    finally:
        await bench.close()
        server.stop()


async def write_until_crash(bench: Bench, server: backing.Postgres, enough: int) -> set[str]:
    """Write without waiting for the disk, crash PostgreSQL, start it again; the events that were committed."""
    ends = asyncio.Event()
    written: set[str] = set()

    async def write() -> None:
        connection = await bench.connect(synchronous_commit="off")
        while not ends.is_set():
            try:
                await connection.execute("INSERT INTO t (a) VALUES (1)")
                written.update(
                    str(row["event"]) for row in await connection.fetch("SELECT event FROM pillion.outbox ORDER BY id DESC LIMIT 5")
                )
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                return
            await asyncio.sleep(0.001)

    tasks = [asyncio.create_task(write()) for _ in range(4)]

    async def reached() -> bool:
        return await bench.count() >= enough

    await until(reached, within=20)
    await asyncio.to_thread(server.stop, 20, signal.SIGQUIT)
    ends.set()
    await asyncio.gather(*tasks)
    await asyncio.to_thread(server.start)
    return written
