"""Requests as a client of the shop sends them, one by one and as a steady load."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp


class NotSeenError(Exception):
    """Something that the demo shows did not happen; the text says what came instead."""


@dataclass(frozen=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: str

    @property
    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body)


@dataclass
class Record:
    """What a load saw."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)
    served_by: Counter[str] = field(default_factory=Counter)


class Client:
    """Sends requests below one base URL."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def send(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; raises OSError or aiohttp.ClientError when there is no answer."""
        async with self._session.request(method, self._base + path, json=body, headers=headers) as response:
            return Answer(response.status, response.headers, await response.text())

    async def get(self, path: str, **headers: str) -> Answer:
        """GET; ``x_api_version="2"`` sends the header X-Api-Version."""
        return await self.send(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    @asynccontextmanager
    async def load(self, path: str, clients: int = 4) -> AsyncIterator[Record]:
        """Send GETs by ``clients`` clients while the block runs, each 10 ms after its last answer."""
        record, stop = Record(), asyncio.Event()

        async def client() -> None:
            while not stop.is_set():
                try:
                    answer = await self.get(path)
                except (aiohttp.ClientError, OSError) as error:
                    record.failures.append(repr(error))
                else:
                    _note(record, answer)
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(client(), name=f"load-{number}") for number in range(clients)]
        try:
            yield record
        finally:
            stop.set()
            await asyncio.gather(*tasks)


def _note(record: Record, answer: Answer) -> None:
    record.answers += 1
    if answer.status != 200:
        record.failures.append(f"{answer.status} {answer.body[:100]}")
        return
    served = answer.json.get("served_by")
    if served:
        record.served_by[served] += 1


async def until(condition: Callable[[], Any], what: str, within: float = 20.0) -> Any:
    """Wait until the condition's value is true and return it; the condition may be a coroutine function.

    Raises NotSeenError with ``what`` when it is not true in time. An OSError from it counts as not yet.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            value = condition()
            value = await value if asyncio.iscoroutine(value) else value
        except (OSError, aiohttp.ClientError):
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotSeenError(f"{what}: not within {within:g} s")
        await asyncio.sleep(0.1)
