"""What the outbox tests share: a service's database, relays in this process, and what arrived in the
stream."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import nats
import nats.errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Broker, Changes, Outbox, Table
from agent.outbox import brokers
from agent.outbox.database import Database
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay, boot_clock
from agent.outbox.sql.install import SESSION, Installer
from agent.runtime.health import Board
from tests.waiting import until

ROOT = Path(__file__).parents[3]

PATIENCE = 30.0
"""Seconds that an answer of NATS may take: a machine under load may leave a server asleep for long."""


@dataclass(frozen=True)
class Arrived:
    """A message of the stream."""

    subject: str
    headers: dict[str, str]
    body: bytes
    at: float = 0.0
    """Wall-clock time at which the stream stored it."""

    @property
    def data(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def key(self) -> str:
        return self.headers.get("ce-partitionkey", "")


class Bench:
    """A database, a stream and relays. Make tables with ``service``, then ``init``."""

    def __init__(self, url: str, nats_url: str) -> None:
        self.url = url
        self.nats_url = nats_url
        self.stream = f"s{uuid.uuid4().hex[:10]}"
        self.said: list[str] = []
        self.env: dict[str, str] | None = None
        """Of relays as processes; None: this one's."""
        self.board = Board(boot_clock)
        self.registries: list[CollectorRegistry] = []
        self._opened: list[asyncpg.Connection] = []
        self._children: list[subprocess.Popen[bytes]] = []

    async def open(self) -> None:
        self.service = await self.connect()

    async def connect(self, **settings: str) -> Any:
        connection = await asyncpg.connect(
            self.url, server_settings={"application_name": "service", **settings}
        )
        self._opened.append(connection)
        return connection

    async def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for connection in self._opened:
            if not connection.is_closed():
                connection.terminate()

    def settings(
        self,
        *,
        tables: tuple[Table, ...] = (),
        changes: tuple[Changes, ...] = (),
        broker_create: bool = True,
        broker_timeout: float = 10.0,
        **more: Any,
    ) -> Outbox:
        """Settings whose topics lie below the bench's own stream. A test that waits for a lease or for an
        acknowledgement to run out gives its own: here no pause of a busy machine is to be taken for the loss of
        either, after which events come twice."""
        topic = f"{self.stream}.{{table}}"
        topical = {"topic": topic}
        return Outbox(
            database=self.url,
            tables=tuple(
                msgspec.structs.replace(each, **topical) if not each.topic else each for each in tables
            ),
            changes=tuple(
                msgspec.structs.replace(each, **topical) if not each.topic else each for each in changes
            ),
            broker=Broker(
                url=self.nats_url, stream=self.stream, create=broker_create, timeout=broker_timeout
            ),
            **more,
        )

    def installer(self, settings: Outbox, patience: float = 60.0) -> Installer:
        return Installer(Database(lambda: self.url, settings=SESSION), settings, self.said.append, patience)

    async def init(self, settings: Outbox, existing: Any = None, role: str = "") -> int:
        return await self.installer(settings).install(existing, role)

    def make(self, settings: Outbox, *, identity: str | None = None, **more: Any) -> Relay:
        registry = CollectorRegistry()
        self.registries.append(registry)
        return Relay(
            settings,
            service="shop",
            identity=identity or uuid.uuid4().hex,
            url=lambda: settings.database,
            broker=brokers.make(settings.broker, "shop", durable=settings.require_durable),
            health=self.board.of("relay"),
            metrics=Metrics(registry),
            **more,
        )

    @asynccontextmanager
    async def relay(self, settings: Outbox, **more: Any) -> AsyncIterator[Relay]:
        """A relay that runs for the body and is stopped in order."""
        relay = self.make(settings, **more)
        task = asyncio.create_task(relay.run(lambda: None))
        try:
            yield relay
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.wait([task])

    async def make_stream(self, **settings: Any) -> None:
        """The bench's stream, with the shortest memory for duplicates, so that they are seen."""
        config = StreamConfig(
            name=self.stream, subjects=[f"{self.stream}.>"], duplicate_window=0.1, **settings
        )
        async with jetstream(self.nats_url) as stream:
            await stream.add_stream(config)

    async def change_stream(self, **settings: Any) -> None:
        """Give the stream other limits."""
        async with jetstream(self.nats_url) as stream:
            config = (await stream.stream_info(self.stream)).config
            await stream.update_stream(config.evolve(**settings))

    @asynccontextmanager
    async def listener(self) -> AsyncIterator[None]:
        """Somebody who hears all that goes to the bench's topics, so that none of it is without a listener."""
        client = await nats.connect(self.nats_url, connect_timeout=PATIENCE)
        try:
            await client.subscribe(f"{self.stream}.>")
            await client.flush(timeout=int(PATIENCE))
            yield
        finally:
            await client.close()

    def metric(self, name: str) -> float | None:
        """The newest relay's metric, over its feeds."""
        metrics = list(self.registries[-1].collect())
        found = [sample.value for metric in metrics for sample in metric.samples if sample.name == name]
        return sum(found) if found else None

    def process(self, settings: Outbox, folder: Path, identity: str) -> subprocess.Popen[bytes]:
        """A relay as a process of its own; the test ends it."""
        file = folder / f"{self.stream}.json"
        file.write_bytes(msgspec.json.encode(settings))
        with (folder / f"relay-{self.stream}.log").open("ab") as log:
            argv = [sys.executable, "-m", "tests.integration.outbox.process", str(file), identity]
            child = subprocess.Popen(argv, stdout=log, stderr=log, cwd=ROOT, env=self.env)
        self._children.append(child)
        return child

    def told(self, folder: Path) -> str:
        """What the relays that are processes have written so far."""
        return (folder / f"relay-{self.stream}.log").read_text(errors="replace")

    async def until_beat(self, identity: str) -> None:
        """Wait until the relay of this identity has shown just now that it is alive."""
        beats = "SELECT max(beat) FROM pillion.relay WHERE split_part(id, '/', 1) = $1"
        before = await self.service.fetchval(beats, identity)

        async def beaten() -> bool:
            return await self.service.fetchval(beats, identity) != before

        await until(beaten, within=30)

    async def owner(self, feed: str) -> str | None:
        """Who relays the feed now."""
        return await self.service.fetchval("SELECT max(owner) FROM pillion.bucket WHERE feed = $1", feed)

    async def outbox(self) -> list[Any]:
        """The rows that the triggers wrote."""
        return list(await self.service.fetch("SELECT * FROM pillion.outbox ORDER BY id"))

    async def end_sessions(self) -> None:
        """End every session of a relay in the database of this bench."""
        await self.service.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
            "'pillion' AND datname = current_database()"
        )

    async def arrived(self) -> list[Arrived]:
        """Everything in the stream, in its order; nothing where there is none yet."""
        try:
            return await read_stream(self.nats_url, self.stream)
        except nats.js.errors.NotFoundError:
            return []

    async def count(self) -> int:
        """How many messages are in the stream."""
        async with jetstream(self.nats_url) as stream:
            try:
                return int((await stream.stream_info(self.stream)).state.messages)
            except nats.js.errors.NotFoundError:
                return 0

    async def until_arrived(self, count: int, within: float = 40.0) -> list[Arrived]:
        """Wait for so many messages and return all, also those that came twice, which count once."""

        async def enough() -> list[Arrived]:
            found = await self.count()
            assert found >= count, f"{found} of {count}; {dict(self.board.reports)}"
            arrived = await self.arrived()
            different = len({each.headers["Nats-Msg-Id"] for each in arrived})
            assert different >= count, f"{different} of {count}; {dict(self.board.reports)}"
            return arrived

        return await until(enough, within=within, every=0.05) if count else []


@asynccontextmanager
async def jetstream(url: str) -> AsyncIterator[JetStreamContext]:
    """A connection to NATS for the body."""
    client = await nats.connect(url, connect_timeout=PATIENCE)
    try:
        yield client.jetstream(timeout=PATIENCE)
    finally:
        await client.close()


async def read_stream(url: str, stream: str, after: int = 0) -> list[Arrived]:
    """All messages of a stream but the first ones, ``after`` in number."""
    found: list[Arrived] = []
    async with jetstream(url) as context:
        total = (await context.stream_info(stream)).state.messages - after
        if total <= 0:
            return found
        # The server forgets a consumer that nobody asks for so long.
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1, ack_policy=AckPolicy.NONE,
            inactive_threshold=PATIENCE,
        )  # fmt: skip
        puller = await context.pull_subscribe("", durable=None, stream=stream, config=config)
        while len(found) < total:
            for message in await puller.fetch(min(500, total - len(found)), timeout=PATIENCE):
                at = message.metadata.timestamp.timestamp()
                found.append(Arrived(message.subject, dict(message.headers or {}), message.data, at))
        await context.delete_consumer(stream, config.name or "")
        return found
