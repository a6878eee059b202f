"""Hundreds of requests at once: none sees another's."""

import asyncio
import json
import uuid

import aiohttp
import pytest

from tests.integration.carry.conftest import Start
from tests.integration.carry.test_through_a_service import headers, target

PATHS = ("/call/requests", "/call/httpx", "/call/urllib", "/thread", "/executor", "/stream")


async def one(session: aiohttp.ClientSession, base: str, number: int) -> tuple[dict[str, str], object]:
    """One request, every fifth without headers: what it was given, and what those that it called saw."""
    given = headers(f"vendor={uuid.uuid4().hex}") if number % 5 else {}
    path = PATHS[number % len(PATHS)]
    async with session.get(base + path, headers=given, params={"url": target()}) as answer:
        assert answer.status == 200
        if path == "/stream":
            text = await answer.text()
            return given, [json.loads(line)["carried"] for line in text.splitlines()]
        found = await answer.json()
    return given, [part["carried"] for part in found] if isinstance(found, list) else [found["carried"]]


@pytest.mark.parametrize("server", ["gthread", "gevent", "flask run"])
async def test_none_of_hundreds_of_concurrent_requests_sees_another_s(start: Start, server: str) -> None:
    service = start(server)
    connector = aiohttp.TCPConnector(limit=32)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        answers = await asyncio.gather(*(one(session, service.url, number) for number in range(400)))
    for given, seen in answers:
        assert seen == [given] * len(seen)
        assert seen
    assert "a fault of the hook" not in service.log.read_text()
