"""A relay as a process of its own, which a test may kill: ``python -m tests.integration.outbox.process
FILE IDENTITY``."""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Outbox
from agent.outbox import brokers
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay, boot_clock
from agent.runtime.health import Board


async def main(file: str, identity: str) -> None:
    settings = msgspec.json.decode(Path(file).read_bytes(), type=Outbox)
    relay = Relay(
        settings,
        service="shop",
        identity=identity,
        url=lambda: settings.database,
        broker=brokers.make(settings.broker, "shop", durable=settings.require_durable),
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
