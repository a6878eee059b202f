"""What the inbox's tests share: a consumer under gunicorn, a stream, a database, and inboxes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec
import nats
from nats.js.api import StreamConfig
from prometheus_client import CollectorRegistry

from agent.config.sections.inbox import Inbox, InboxBroker, InboxTopic
from agent.config.sections.service import Service
from agent.config.settings import Settings
from agent.outbox.inbox import install
from agent.outbox.relay import boot_clock
from agent.runtime.health import Board
from agent.wiring.inbox import made
from tests import ports, waiting

T = TypeVar("T")
ROOT = Path(__file__).parents[4]
PATIENCE = 60.0
"""Seconds until a test gives up: gunicorn alone takes ten to start on a machine that is busy."""
LEASE = 10.0
"""Seconds; on a machine that is busy a shorter one runs out by itself, and what was under way is called again."""


async def until(
    condition: Callable[[], T | Awaitable[T]], within: float = PATIENCE, every: float = 0.02
) -> T:
    """As ``waiting.until``, with more time."""
    return await waiting.until(condition, within, every)


class Rig:
    """One service with all that its inboxes need."""

    def __init__(self, folder: Path, nats_url: str, database: str) -> None:
        self.folder = folder
        self.nats_url = nats_url
        self.database = database
        self.stream = f"i{uuid.uuid4().hex[:10]}"
        self.calls_file = folder / "calls"
        self.port = ports.free_port()
        self.board = Board(boot_clock)
        self.children: list[subprocess.Popen[bytes]] = []
        self._read = 0
        self._notes: list[dict[str, Any]] = []
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        self.client = await nats.connect(self.nats_url, connect_timeout=20)
        self._opened.push_async_callback(self.client.close)
        config = StreamConfig(name=self.stream, subjects=[f"{self.stream}.>"], duplicate_window=0.1)
        await self.client.jetstream(timeout=20).add_stream(config)
        await self.open_book()

    async def open_book(self) -> None:
        """Prepare the consumer's database."""
        self.sql = await asyncpg.connect(self.database)
        self._opened.callback(self.sql.terminate)
        await self.sql.execute(install.made("pillion_inbox"))

    async def close(self) -> None:
        """End what was started and opened here."""
        try:
            for child in self.children:
                kill(child)
        finally:
            await self._opened.aclose()

    def open_gate(self, name: str) -> None:
        """Let the service answer what waits for this gate."""
        self.calls_file.with_name(f"{self.calls_file.name}.{name}").touch()

    def start_service(self, threads: int = 16) -> subprocess.Popen[bytes]:
        argv = [
            sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--threads", str(threads),
            "--no-control-socket", "tests.integration.outbox.inbox.consumer:app",
        ]  # fmt: skip
        return self._start(argv, "service", CALLS=str(self.calls_file))

    def _start(self, argv: Sequence[str], name: str, **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                argv, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **environ}, start_new_session=True
            )
        self.children.append(child)
        return child

    def broker(self) -> dict[str, Any]:
        """The section ``inbox.broker``."""
        return {"url": self.nats_url}

    def settings(self, *, partitions: int = 1, broker: dict[str, Any] | None = None, **more: Any) -> Settings:
        topic = InboxTopic(topic=f"{self.stream}.orders", path="/events/orders", partitions=partitions)
        more = {"lease": LEASE, "timeout": 20.0, "retry_first": 0.05, "retry_last": 0.5, **more}
        return Settings(
            service=Service(name="stock", port=self.port),
            inbox=Inbox(
                topics=(topic,), broker=InboxBroker(**{**self.broker(), **(broker or {})}),
                database=self.database, **more,
            ),
        )  # fmt: skip

    @asynccontextmanager
    async def inbox(self, settings: Settings, identity: str = "") -> AsyncIterator[None]:
        """An inbox that runs for the body and is stopped in order."""
        name = identity or uuid.uuid4().hex
        inbox = made(settings, name, self.board.of("inbox"), CollectorRegistry(), None)
        task = asyncio.create_task(inbox.run(lambda: None))
        try:
            yield
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.wait([task])

    def process(self, settings: Settings, identity: str, *point: str) -> subprocess.Popen[bytes]:
        """An inbox as a process of its own; the test ends it, or it itself at ``point``."""
        file = self.folder / "settings.json"
        file.write_bytes(msgspec.json.encode(settings))
        argv = [sys.executable, "-m", "tests.integration.outbox.inbox.process", str(file), identity, *point]
        return self._start(argv, f"inbox-{identity}")

    async def publish(
        self, identity: str, key: str | None = "k", partition: int | None = None, **data: Any
    ) -> None:
        """Put one event into the stream."""
        headers = {
            "ce-id": identity,
            "ce-source": "/orders",
            "ce-type": "orders.created",
            "ce-specversion": "1.0",
        }
        if key is not None:
            headers["ce-partitionkey"] = key
        topic = f"{self.stream}.orders" + (f".{partition}" if partition is not None else "")
        body = json.dumps(data).encode()
        await self.client.jetstream().publish(
            topic, body, headers={**headers, "Content-Type": "application/json"}
        )

    def noted(self, what: str = "begin") -> list[dict[str, Any]]:
        """The consumer's own notes of its calls, in order."""
        if self.calls_file.exists():
            with self.calls_file.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if line.endswith(b"\n"):
                        self._read += len(line)
                        self._notes.append(json.loads(line))
        return [note for note in self._notes if note["what"] == what]

    def called(self) -> list[str]:
        """The ids of the consumer's calls, in order."""
        return [note["id"] for note in self.noted()]

    async def until_called(self, *ids: str, within: float = PATIENCE) -> None:
        """Wait until exactly these calls were made, in any order."""

        def same() -> bool:
            assert sorted(self.called()) == sorted(ids), (self.called()[-20:], dict(self.board.reports))
            return True

        await until(same, within=within, every=0.05)

    async def open_messages(self) -> int:
        """How many messages the broker still has to hand out or waits for."""
        found = await self.client.jetstream().consumers_info(self.stream)
        return sum((each.num_ack_pending or 0) + (each.num_pending or 0) for each in found)

    async def until_acknowledged(self, within: float = PATIENCE) -> None:
        """Wait until the broker has nothing left for the consumer."""

        async def nothing() -> bool:
            count = await self.open_messages()
            assert count == 0, (count, dict(self.board.reports))
            return bool(await self.client.jetstream().consumers_info(self.stream))

        await until(nothing, within=within, every=0.1)


def kill(child: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started at once: a worker of gunicorn's that is left has its port for seconds."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
