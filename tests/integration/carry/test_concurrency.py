"""Thousands of requests at once, in random order: none sees another's."""

import asyncio
import json
import random
import uuid
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from tests.integration.carry.conftest import Start
from tests.integration.carry.test_through_a_service import headers, target

REQUESTS = 2000
"""For each of the servers, of which there are three with all kinds of work."""
PATHS = (
    *("/call/requests", "/call/session", "/call/httpx", "/call/urllib", "/call/urllib3", "/call/aiohttp"),
    *("/thread", "/executor", "/nested-executor", "/thread-pool", "/background-loop", "/own-queue"),
    *("/stream", "/stream-with-context", "/asyncio?how=create_task", "/asyncio?how=run_in_executor"),
)
FAILING = ("/boom", "/endless")
"""In between: exceptions of the application, and clients that go away within a body."""


WITHOUT_LOOPS = tuple(
    path for path in PATHS if not any(word in path for word in ("aiohttp", "asyncio", "loop"))
)
"""For gevent: greenlets share a thread, in which asyncio allows one running loop."""


async def one(
    session: aiohttp.ClientSession, base: str, order: random.Random, paths: Sequence[str] = PATHS
) -> None:
    """One request, some without headers: what those that it called saw is what it was given."""
    given = headers(f"vendor={uuid.uuid4().hex}") if order.random() < 0.8 else {}
    path = order.choice(paths)
    separator = "&" if "?" in path else "?"
    if order.random() < 0.05:
        await failing(session, base + order.choice(FAILING), given)
    async with session.get(f"{base}{path}{separator}url={target()}", headers=given) as answer:
        assert answer.status == 200, path
        text = await answer.text()
    found: list[Any] = (
        [json.loads(line) for line in text.splitlines()] if "stream" in path else json.loads(text)
    )
    seen = [part["carried"] for part in (found if isinstance(found, list) else [found])]
    assert seen, path
    assert seen == [given] * len(seen), path


async def failing(session: aiohttp.ClientSession, url: str, given: dict[str, str]) -> None:
    """A request that ends in an exception, or whose client goes away."""
    async with session.get(url, headers=given, params={"url": target()}) as answer:
        if answer.status == 200:
            await answer.content.read(100)
            answer.close()


async def many(base: str, times: int, seed: int, paths: Sequence[str] = PATHS) -> None:
    """That many requests over few connections."""
    order = random.Random(seed)
    connector = aiohttp.TCPConnector(limit=32)
    timeout = aiohttp.ClientTimeout(total=550)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(times):
            group.create_task(one(session, base, random.Random(order.random()), paths))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("server", "seed"), [("gthread", 1), ("gevent", 2), ("waitress", 3)])
async def test_none_of_thousands_of_concurrent_requests_sees_another_s(
    start: Start, server: str, seed: int
) -> None:
    service = start(server)
    await many(service.url, REQUESTS, seed, WITHOUT_LOOPS if server == "gevent" else PATHS)
    assert "a fault of the hook" not in service.log.read_text()


@pytest.mark.parametrize(("server", "seed"), [("flask run", 4), ("-k gthread --threads 8 --workers 2", 5)])
async def test_other_servers_keep_hundreds_apart(start: Start, server: str, seed: int) -> None:
    service = start(server)
    await many(service.url, 300, seed)
    assert "a fault of the hook" not in service.log.read_text()


async def test_a_loop_keeps_hundreds_of_requests_apart(start: Start) -> None:
    """ASGI: all of them are tasks of one thread."""
    service = start("uvicorn --log-level warning", "asynchronous")

    async def ask(session: aiohttp.ClientSession) -> None:
        given = headers(f"vendor={uuid.uuid4().hex}") if random.random() < 0.8 else {}
        async with session.get(service.url, headers=given, params={"url": target()}) as answer:
            assert (await answer.json())["carried"] == given

    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(1000):
            group.create_task(ask(session))


async def test_workers_that_are_replaced_under_load_mix_nothing(start: Start) -> None:
    """Every tenth request ends a worker; a connection that ends with it is asked again."""
    # A worker whose grace is over takes no more work into its executors, and answers 500 to who waits for that.
    service = start("-k gthread --threads 4 --workers 2 --max-requests 10 --graceful-timeout 60")
    order = random.Random(6)

    async def patient(session: aiohttp.ClientSession) -> None:
        for attempt in range(20):
            try:
                return await one(session, service.url, order)
            except aiohttp.ClientError:
                await asyncio.sleep(0.05 * attempt)
        raise AssertionError("never answered")

    connector = aiohttp.TCPConnector(limit=4, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(patient(session))
    assert service.log.read_text().count("Booting worker") > 5
