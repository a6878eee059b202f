"""An inbox as a process of its own, which a test may kill: ``python -m tests.integration.outbox.inbox.process
FILE IDENTITY [POINT]``. At ``POINT`` it kills itself."""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.outbox.inbox import ledger, poster
from agent.outbox.inbox.sources import kafka, nats_stream, rabbitmq, redis
from agent.outbox.relay import boot_clock
from agent.runtime.health import Board
from agent.wiring.inbox import made

STREAMS: Mapping[str, type] = {
    "nats": nats_stream.Pull, "kafka": kafka._Stream, "amqp": rabbitmq._Stream, "redis": redis._Stream
}  # fmt: skip
"""By scheme of the broker's URL."""

POINTS: Mapping[str, tuple[type | None, str, bool]] = {
    "claiming": (ledger.Ledger, "claim", False),
    "claimed": (ledger.Ledger, "claim", True),
    "fetched": (ledger.Ledger, "seen", True),
    "posting": (poster.Poster, "post", False),
    "posted": (poster.Poster, "post", True),
    "recording": (ledger.Ledger, "done", False),
    "recorded": (ledger.Ledger, "done", True),
    "acknowledging": (None, "done", False),
    "acknowledged": (None, "done", True),
    "failed": (ledger.Ledger, "failed", True),
    "burying": (ledger.Ledger, "bury", False),
    "buried": (ledger.Ledger, "bury", True),
    "set aside": (None, "dead", True),
}
"""Name: whose method, None for the stream's, which, and whether the end comes after it."""

GAP = frozenset({"posted", "recording", "burying"})
"""Between the service's answer and the record of it: what is documented as the remaining gap."""

CALLS = 3
"""At which call of the method the end comes, where there are so many: in the middle of the work."""


def doom(point: str, scheme: str) -> None:
    """End the process there."""
    given, name, after = POINTS[point]
    owner = given or STREAMS[scheme]
    method: Callable[..., Any] = getattr(owner, name)
    left = CALLS if name in ("post", "done") else 1

    @functools.wraps(method)
    async def doomed(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await method(*arguments)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, doomed)


async def main(file: str, identity: str, point: str = "") -> None:
    settings = msgspec.json.decode(Path(file).read_bytes(), type=Settings)
    if point:
        doom(point, settings.inbox.broker.url.partition(":")[0])
    inbox = made(settings, identity, Board(boot_clock).of("inbox"), CollectorRegistry(), None)
    task = asyncio.create_task(inbox.run(lambda: None))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
