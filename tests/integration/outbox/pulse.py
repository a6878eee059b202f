"""How long a write takes that nothing stands in the way of: what is the busy machine's doing, and nobody else's."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.integration.outbox.bench import Bench

COUNT = 4


@dataclass
class Pulse:
    """What some connections measured at a table of their own."""

    slowest: float = 0.0
    """Seconds."""


@asynccontextmanager
async def pulse(bench: Bench) -> AsyncIterator[Pulse]:
    """Measure during the body."""
    found, ends = Pulse(), asyncio.Event()
    await bench.service.execute("CREATE TABLE pulse (n int)")

    async def beat() -> None:
        connection = await bench.connect()
        while not ends.is_set():
            began = time.monotonic()
            await connection.execute("INSERT INTO pulse VALUES (1)")
            found.slowest = max(found.slowest, time.monotonic() - began)
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(beat()) for _ in range(COUNT)]
    try:
        yield found
    finally:
        ends.set()
        await asyncio.gather(*tasks)
