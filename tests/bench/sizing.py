"""What one relay takes at several loads: connections, memory, CPU of its own and of PostgreSQL's for it, rows/s.

Run as `make bench-sizing`; SECONDS is how long each steady load is looked at (20), ROWS how large a backlog is
(100000).
The relay is a process of its own, without the rest of an agent; NATS has one server with a file stream. Everything
shares this machine, so that CPU for 1,000 rows is the figure to plan by, and rows a second only what it came to here.
"""

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from agent.config.sections.outbox import Table
from agent.demo import backing
from tests.integration.outbox.bench import Bench
from tests.waiting import until

TICK = os.sysconf("SC_CLK_TCK")
TABLE = "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)"
WRITE = """
INSERT INTO ob (key, payload) SELECT n % 250, jsonb_build_object('note', repeat('x', 280))
FROM generate_series(1, $1::int) n"""
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pillion'"


@dataclass(frozen=True)
class Use:
    """What was used so far: seconds of CPU, and rows that arrived."""

    relay: float
    sessions: float
    rows: int
    at: float


def cpu(pid: int) -> float:
    """Seconds of CPU of a process; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:13])) / TICK


def resident(pid: int) -> float:
    """Megabytes of memory."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


class Sizing:
    """One relay, its database and its broker."""

    def __init__(self, bench: Bench, pid: int) -> None:
        self._bench = bench
        self._pid = pid

    async def _sessions(self) -> list[int]:
        return [row["pid"] for row in await self._bench.service.fetch(SESSIONS)]

    async def _use(self) -> Use:
        sessions = sum(map(cpu, await self._sessions()))
        return Use(cpu(self._pid), sessions, await self._bench.count(), time.monotonic())

    async def _told(self, name: str, before: Use, memory: float, sessions: int) -> None:
        after = await self._use()
        seconds, rows = after.at - before.at, after.rows - before.rows
        own, theirs = after.relay - before.relay, after.sessions - before.sessions
        each = f"{own / rows * 1e3:7.3f} s {theirs / rows * 1e3:7.3f} s" if rows else f"{'-':>9} {'-':>9}"
        sys.stdout.write(
            f"{name:<26}{rows / seconds:8.0f} rows/s {sessions:3} connections {memory:5.0f} MB {each}"
            f"   {own / seconds * 100:5.1f} % {theirs / seconds * 100:5.1f} %\n"
        )
        sys.stdout.flush()

    async def steady(self, rate: int, seconds: float) -> None:
        """Rows at an even rate, 50 times a second at the most."""
        writer = await self._bench.connect()
        before = await self._use()
        memory, sessions, ends = 0.0, 0, time.monotonic() + seconds
        batch = max(rate // 50, 1)
        while (now := time.monotonic()) < ends:
            if rate:
                await writer.execute(WRITE, batch)
            memory, sessions = max(memory, resident(self._pid)), max(sessions, len(await self._sessions()))
            await asyncio.sleep(max(now + (batch / rate if rate else 0.5) - time.monotonic(), 0))
        await self._told(f"{rate} rows/s" if rate else "idle", before, memory, sessions)

    async def backlog(self, rows: int) -> None:
        """So many rows in one transaction, until all have arrived."""
        before = await self._use()
        writer = await self._bench.connect()
        await writer.execute(WRITE, rows)
        before = Use(before.relay, before.sessions, before.rows, time.monotonic())
        memory, sessions = 0.0, 0

        async def all_there() -> bool:
            nonlocal memory, sessions
            memory, sessions = max(memory, resident(self._pid)), max(sessions, len(await self._sessions()))
            return await self._bench.count() >= before.rows + rows

        await until(all_there, within=300, every=0.2)
        await self._told(f"backlog of {rows}", before, memory, sessions)


async def main(folder: Path, seconds: float, rows: int) -> None:
    """All loads, one after another."""
    server = backing.Postgres(
        folder / "postgres", settings={"max_wal_size": "4GB", "shared_buffers": "256MB"}
    )
    broker = backing.Nats(folder / "nats")
    server.start()
    broker.start()
    bench = Bench(server.url, broker.url)
    try:
        await bench.open()
        await bench.service.execute(TABLE)
        await bench.make_stream()
        settings = bench.settings(tables=(Table(table="ob"),), lease=10.0)
        await bench.init(settings)
        child = bench.process(settings, folder, "sizing")
        await until(lambda: bench.owner("public.ob"), within=30)
        sizing = Sizing(bench, child.pid)
        head = ("", "relay /1,000", "database /1,000", "relay", "database")
        sys.stdout.write(f"CPU: {', '.join(head[1:])}\n")
        await sizing.steady(0, seconds)
        for rate in (100, 1000, 5000):
            await sizing.steady(rate, seconds)
        await sizing.backlog(rows)
    except asyncpg.PostgresError as error:
        raise SystemExit(str(error)) from error
    finally:
        await bench.close()
        broker.stop()
        server.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pillion-bench-") as made:
        Path(made).chmod(0o755)
        asyncio.run(
            main(Path(made), float(os.environ.get("SECONDS", "20")), int(os.environ.get("ROWS", "100000")))
        )
