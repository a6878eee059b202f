"""The relay alone as a process, in the agent's loop and with what the agent has in memory.

``python -m tests.bench.outbox.relay FILE [TELL]`` with an agent's file of settings. With a second argument it prints
every tenth of a second how many events were acknowledged and how much CPU that took.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

import agent.cli.agent
import agent.wiring.sidecar  # noqa: F401 - so that memory is that of an agent
from agent.config import sources
from agent.config.disk import LocalDisk
from agent.config.secret import Secret
from agent.config.settings import Settings
from agent.outbox import brokers
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay
from agent.runtime.health import Board


async def main(settings: Settings, tell: bool) -> None:
    """Relay until SIGTERM."""
    outbox, name = settings.outbox, settings.service.name
    relay = Relay(
        outbox, service=name, identity="bench", url=Secret.of(outbox, "outbox.database").read,
        broker=brokers.make(outbox.broker, name), health=Board(time.time).of("relay"),
        metrics=Metrics(CollectorRegistry()),
    )  # fmt: skip
    task = asyncio.create_task(relay.run(lambda: None))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    while tell and not task.done():
        published = sum(each.published for each in await relay.status())
        used = time.process_time()
        sys.stdout.write(f"told {time.monotonic()} {published} {used}\n")
        sys.stdout.flush()
        await asyncio.wait([task], timeout=0.1)
    await asyncio.wait([task])


if __name__ == "__main__":
    resolved = sources.load({}, {}, Path(sys.argv[1]), LocalDisk())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(resolved.settings, len(sys.argv) > 2))
