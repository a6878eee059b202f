"""A bounded load: a few clients that send requests until told to stop, and a record of every answer."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp


@dataclass
class Record:
    """What the clients saw. ``failures`` holds (seconds since start, what) for everything that was not 2xx."""

    answers: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)
    served_by: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    @property
    def sent(self) -> int:
        """All requests that got an answer or failed without one."""
        return sum(self.answers.values())

    def note(self, status: int, what: str) -> None:
        """Count an answer; 0 stands for none."""
        self.answers[status] += 1
        if not 200 <= status < 300:
            self.failures.append((round(time.monotonic() - self.started, 2), f"{status} {what[:200]}"))


@asynccontextmanager
async def load(
    url: str,
    *,
    clients: int = 4,
    pause: float = 0.01,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Record]:
    """Send requests to the URL by ``clients`` clients in turn while the block runs, ``pause`` seconds apart."""
    record, stop = Record(), asyncio.Event()

    async def client(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            try:
                async with session.request(method, url, headers=headers) as response:
                    body = await response.text()
                    record.note(response.status, body)
                    record.served_by[response.headers.get("x-served-by", "")] += 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                record.note(0, repr(error))
            await asyncio.sleep(pause)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        tasks = [asyncio.create_task(client(session), name=f"load-{n}") for n in range(clients)]
        try:
            yield record
        finally:
            stop.set()
            await asyncio.gather(*tasks)
