"""A constant load: so many requests a second whether or not the former ones were answered."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from agent.demo.traffic import Client
from tests.compose import layout

RATES = {layout.SHOP: 5.0, layout.STOCK: 10.0, layout.CHECKOUT: 1.0}
"""Requests a second; modest, for a machine that runs the whole system beside the test."""
PATIENCE = aiohttp.ClientTimeout(total=20)
"""Longer than the gateway's own limit, so that what is counted is its answer."""


@dataclass
class Count:
    """What became of one route's requests."""

    sent: int = 0
    answered: int = 0
    """With 200 or 201."""
    slowest: float = 0.0
    """Seconds, of those that were answered."""
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def load(base: str) -> AsyncIterator[dict[str, Count]]:
    """Send all routes' requests while the block runs; the counts are whole when it has ended."""
    counts = {route: Count() for route in layout.ROUTES}
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        client, stop = Client(session, base), asyncio.Event()
        tasks = [asyncio.create_task(_steady(client, route, counts[route], stop)) for route in counts]
        try:
            yield counts
        finally:
            stop.set()
            await asyncio.gather(*tasks)


async def _steady(client: Client, route: str, count: Count, stop: asyncio.Event) -> None:
    began, sent = time.monotonic(), []
    for number in itertools.count():
        wait = began + number / RATES[route] - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        if stop.is_set():
            break
        sent.append(asyncio.create_task(_one(client, route, count)))
    await asyncio.gather(*sent)


async def _one(client: Client, route: str, count: Count) -> None:
    method, path = route.split()
    began = time.monotonic()
    count.sent += 1
    try:
        answer = await client.send(method, path, body={"sku": "cup"} if method == "POST" else None)
    except (aiohttp.ClientError, OSError) as error:
        count.failures.append(repr(error))
        return
    if answer.status in (200, 201):
        count.answered += 1
        count.slowest = max(count.slowest, time.monotonic() - began)
    else:
        count.failures.append(f"{answer.status} {answer.body.strip()[:120]}")
