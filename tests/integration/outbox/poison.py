"""A relay whose broker ends its process at one event: ``python -m tests.integration.outbox.poison FILE IDENTITY KEY``.

It stands for a driver that crashes on some content."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Outbox
from agent.outbox import brokers
from agent.outbox.brokers import Broker, Link, Outcomes
from agent.outbox.events import Event
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay, boot_clock
from agent.runtime.health import Board


class Deadly:
    """A broker that is another one, but for one key's first event."""

    name = "deadly"

    def __init__(self, inner: Broker, key: str) -> None:
        self._inner = inner
        self._key = key

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:
        async with self._inner.link(outcomes, topics) as link:
            yield DeadlyLink(link, self._key)


class DeadlyLink:
    def __init__(self, inner: Link, key: str) -> None:
        self._inner = inner
        self._key = key
        self.largest = inner.largest
        self.warnings = inner.warnings

    def send(self, number: int, event: Event) -> None:
        if event.key == self._key and b'"n":1' in event.body.replace(b" ", b""):
            os.kill(os.getpid(), signal.SIGKILL)
        self._inner.send(number, event)

    async def answers(self) -> bool:
        return await self._inner.answers()


async def main(file: str, identity: str, key: str) -> None:
    settings = msgspec.json.decode(Path(file).read_bytes(), type=Outbox)
    relay = Relay(
        settings,
        service="shop",
        identity=identity,
        url=lambda: settings.database,
        broker=Deadly(brokers.make(settings.broker, "shop"), key),
        health=Board(boot_clock).of("relay"),
        metrics=Metrics(CollectorRegistry()),
    )
    task = asyncio.create_task(relay.run(lambda: None))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
