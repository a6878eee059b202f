"""The servers of a run: PostgreSQL, NATS, the ways to them and the relays, each of which can be broken."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from agent.config.sections.outbox import Changes, Table
from agent.demo import backing
from agent.demo.process import Process
from tests.chaos.checker import Fault, Life
from tests.chaos.ledgers import FEEDS, WATCH, Held
from tests.chaos.moves import Moved
from tests.chaos.network import Network
from tests.chaos.workload import BROKEN, TABLES
from tests.integration.outbox.bench import ROOT, Bench

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
"""Debian's package libfaketime: moves the wall clock of a process and, as it is told here, no other clock."""

LATE = {"wal_writer_delay": "10000", "wal_writer_flush_after": "100000", "fsync": "off"}
"""A log that is flushed as late as may be, so that a crash takes much back; the operating system stays up."""

NATS = """
jetstream {
  sync_interval: always
}
"""


NAMES = ("one", "two", "three")


class Relays:
    """Relay processes that are started again whenever they are gone."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.processes: list[Process] = []
        self.held: set[int] = set()
        """Those that are dead on purpose."""
        self.problems: list[str] = []
        self.clock = folder / "clock"
        self.clock.write_text("+0")
        self.clock.chmod(0o644)
        self._keeper: asyncio.Task[None] | None = None

    def make(self, name: str) -> Process:
        """A relay's process, not started."""
        argv = [sys.executable, "-m", "tests.integration.outbox.process", str(self.settings), name]
        faked = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        env = {**os.environ, **(faked if FAKETIME.exists() else {})}
        return Process(f"relay {name}", argv, self.folder / f"relay-{name}.log", env=env, cwd=ROOT)

    @property
    def settings(self) -> Path:
        """The file that they read."""
        return self.folder / "outbox.json"

    def start(self) -> None:
        """Start all and keep them up."""
        self.processes = [self.make(name) for name in NAMES[: self.count]]
        for process in self.processes:
            process.launch()
        self._keeper = asyncio.create_task(self._keep(), name="relays are kept")

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for number, process in enumerate(self.processes):
                if process.pid is None and number not in self.held:
                    self.problems.append(f"{process.name} ended by itself; see {process.log}")
                    process.launch()

    async def stop(self) -> None:
        """End all in order."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for process in self.processes:
            process.terminate(signal.SIGCONT)
            await asyncio.to_thread(process.stop)


class Rig:
    """Everything that a run needs. ``faults`` grows with everything that was broken, ``lives`` with the databases that
    were lost and ``moved`` with what their logs say."""

    def __init__(self, folder: Path, page: int, relays: int = 2) -> None:
        self.folder = folder
        self.page = page
        self.faults: list[Fault] = []
        self.lives: dict[str, list[Life]] = {topic: [] for topic in FEEDS}
        self.moved: list[Moved] = []
        self.takeovers = 0
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self._servers = 0
        self.postgres = self.server()
        self.nats = backing.Nats(folder / "nats")
        file = folder / "nats.conf"
        file.write_text(NATS)
        self.nats.argv += ["-c", str(file)]
        self.database, self.broker = Network(self.postgres.port), Network(self.nats.port)
        self.relays = Relays(folder, relays)
        self.bench = Bench(self.postgres.url, self.nats.url)

    def place(self) -> Path:
        """A folder for one more cluster, in which PostgreSQL's user may write."""
        self._servers += 1
        place = self.folder / f"postgres{self._servers}"
        place.mkdir()
        place.chmod(0o777)
        return place

    def server(self, place: Path | None = None) -> backing.Postgres:
        """A cluster that is not started: a new one, or what ``place`` holds."""
        return backing.Postgres(place or self.place(), settings=LATE)

    def exchange(self, postgres: backing.Postgres) -> None:
        """From now on this is the database, for everybody."""
        self.postgres = postgres
        self.bench.url = postgres.url
        self.database.target = postgres.port

    def lost(self, held: Held, moved: Moved, known: dict[str, frozenset[str]]) -> None:
        """A database is gone; note what it held and what its successor knows."""
        self.moved.append(moved)
        for topic, history in held.histories.items():
            self.lives[topic].append(Life(history, held.journal, known[topic]))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All servers, the tables and the stream; the relays are started by ``relays.start``."""
        async with contextlib.AsyncExitStack() as stack:
            # Started by the main thread, so that they end with it.
            stack.callback(self.nats.kill)
            stack.callback(self._stop_database)
            self.nats.start()
            self.postgres.start()
            await self.database.start()
            stack.push_async_callback(self.database.stop)
            await self.broker.start()
            stack.push_async_callback(self.broker.stop)
            stack.push_async_callback(self.bench.close)
            await self._prepare()
            stack.push_async_callback(self.relays.stop)
            watch = asyncio.create_task(self._watch(), name="takeovers are watched")
            try:
                yield
            finally:
                watch.cancel()
                await asyncio.wait([watch])

    def _stop_database(self) -> None:
        # Whichever it is by then.
        self.postgres.stop()

    async def _prepare(self) -> None:
        await self.bench.open()
        await self.bench.service.execute(TABLES)
        await self.bench.make_stream()
        settings = self.bench.settings(
            tables=(Table(table="ob"),), changes=(Changes(table="aggregate", include=("k", "v", "token", "pad")),),
            page=self.page, retention=3.0, lease=2.0, broker_timeout=2.0,
        )  # fmt: skip
        await self.bench.init(settings)
        await self.bench.service.execute(WATCH)
        self.settings = settings
        through = msgspec.structs.replace(
            settings,
            database=self.postgres.url.replace(f":{self.postgres.port}/", f":{self.database.port}/"),
            broker=msgspec.structs.replace(settings.broker, url=f"nats://127.0.0.1:{self.broker.port}"),
        )
        self.relays.settings.write_bytes(msgspec.json.encode(through))

    async def admin(self) -> Any:
        """A session of the test's own, which no fault ends but a crash; tried until there is one."""
        while True:
            try:
                return await asyncpg.connect(
                    self.postgres.url, server_settings={"application_name": "chaos"}, timeout=5
                )
            except BROKEN:
                await asyncio.sleep(0.05)

    async def execute(self, sql: str, *arguments: Any) -> None:
        """One statement, tried again until the database took it."""
        while True:
            session = await self.admin()
            try:
                await session.execute(sql, *arguments)
            except BROKEN:
                await asyncio.sleep(0.05)
            else:
                return
            finally:
                session.terminate()

    async def _watch(self) -> None:
        """Every take-over is a fault of its own, planned or not: what was published since the last save comes
        again."""
        epochs: dict[str, int] = {}
        while True:
            session = await self.admin()
            try:
                await self._look(session, epochs)
            except BROKEN:
                continue
            finally:
                session.terminate()

    async def _look(self, session: Any, epochs: dict[str, int]) -> None:
        while True:
            looked = time.time()
            rows = await session.fetch(
                "SELECT feed, sum(epoch)::int8 AS epochs FROM pillion.bucket GROUP BY feed"
            )
            for row in rows:
                if epochs.setdefault(row["feed"], row["epochs"]) != row["epochs"]:
                    self.takeovers += 1
                    self.faults.append(Fault(looked - 0.5, looked))
                epochs[row["feed"]] = row["epochs"]
            await asyncio.sleep(0.2)
