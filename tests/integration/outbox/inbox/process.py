"""An inbox as a process of its own, which a test may kill: ``python -m tests.integration.outbox.inbox.process
FILE IDENTITY``."""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.outbox.relay import boot_clock
from agent.runtime.health import Board
from agent.wiring.inbox import made


async def main(file: str, identity: str) -> None:
    settings = msgspec.json.decode(Path(file).read_bytes(), type=Settings)
    inbox = made(settings, identity, Board(boot_clock).of("inbox"), CollectorRegistry(), None)
    task = asyncio.create_task(inbox.run(lambda: None))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
