"""Clients that send or read slowly, beside quick ones."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.model.address import Address
from agent.model.catalog import Service
from agent.proxy.snapshot import Resource, Snapshot
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import opened, read, request, send
from tests.integration.proxy_plan.rig import Door, Gunicorn, catalog, echo, instance
from tests.waiting import until

MANY = 300
SLOW = 20.0
"""Seconds of an answer that waited for the slow: the soonest of them is given up after half a minute."""


@asynccontextmanager
async def slow(address: Address, count: int, data: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that send this much and then nothing, and read nothing."""
    pairs = [await asyncio.open_connection(address.host, address.port, limit=1) for _ in range(count)]
    for _, writer in pairs:
        writer.write(data)
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


async def quick(http: aiohttp.ClientSession, url: str, count: int = 50) -> float:
    """The slowest of some answers, in seconds."""
    slowest = 0.0
    for _ in range(count):
        begun = time.monotonic()
        async with http.get(url) as answer:
            await answer.read()
            assert answer.status == 200
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


@pytest.mark.parametrize(
    "data",
    [
        b"GET /x HTTP/1.1\r\nHost: sh",
        request("/x", "Content-Length: 100000", method="POST", body=b"a"),
        request("/x", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nab"),
        request("/large"),
        b"",
    ],
    ids=["headers", "body", "chunks", "reading", "nothing"],
)
async def test_many_slow_clients_do_not_stop_a_quick_one(
    folder: Path, start: Start, http: aiohttp.ClientSession, data: bytes
) -> None:
    """However they are slow; one Envoy thread serves them all."""

    def answer(request: web.Request) -> web.Response | int:
        return web.Response(body=b"a" * 1_000_000) if request.path == "/large" else 200

    async with echo("site", answer) as port:
        over = {"traffic": {"max_requests": 10_000, "max_connections": 10_000}}
        door = start(Door(folder, catalog(site=Service("site", (instance(port),), ("/",))), over))
        async with slow(door.address, MANY, data):
            await until(lambda: connections(door, MANY), within=60)
            assert await quick(http, f"{door.url}/quick") < SLOW


async def connections(door: Door, count: int) -> bool:
    """Whether the gateway has so many connections."""
    found = await door.counters("http.gateway.downstream_cx_active")
    return found["http.gateway.downstream_cx_active"] >= count


async def test_slow_bodies_occupy_no_worker_of_a_service_where_they_are_held(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Two sync workers of gunicorn, and many more slow clients than that."""
    service = start(Gunicorn(folder / "service", "--workers", "2"))
    over = {"gateway": {"max_body": 1_000_000, "hold_bodies": True}}
    door = start(Door(folder, catalog(site=Service("site", (instance(service.port),), ("/",))), over))
    data = request("/x", "Content-Length: 6", method="POST", body=b"abc")
    async with slow(door.address, 20, data):
        await until(lambda: connections(door, 20))
        assert await quick(http, f"{door.url}/quick", 20) < SLOW
    assert service.posts == []


async def test_headers_that_never_end_are_cut_off(folder: Path, start: Start) -> None:
    """After 30 s; here sooner."""

    def sooner(snapshot: Snapshot) -> Snapshot:
        manager: Resource = snapshot.listeners["gateway"]["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["request_headers_timeout"] == "30s"
        manager["request_headers_timeout"] = "0.3s"
        return snapshot

    door = start(Door(folder, catalog(orders=[instance(1)]), change=sooner))
    async with asyncio.timeout(60), opened(door.address) as (reader, writer):
        writer.write(b"GET /orders HTTP/1.1\r\nHost: sh")
        reply = await read(reader)
        assert reply.status in (0, 408)
        assert await reader.read() == b""
    assert (await send(door.address, request("/nothing"))).status == 404
