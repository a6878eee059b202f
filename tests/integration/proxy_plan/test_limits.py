"""Rate limits and the size of bodies, at the gateway and at the inbound."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.model.address import Address
from agent.model.catalog import Service
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import opened, request, send
from tests.integration.proxy_plan.rig import Door, Sidecar, catalog, echo, instance
from tests.waiting import until

SLOW = {"per": 86400.0}
"""Buckets that don't fill again within a test."""


@pytest.fixture(params=["gateway", "inbound"])
def limited(folder: Path, start: Start, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Starts a gateway or a sidecar with these limits in front of a port; returns its URL."""

    def run(port: int, **over: Any) -> str:
        if request.param == "gateway":
            known = catalog(site=Service("site", (instance(port),), ("/",)))
            return start(Door(folder, known, {"gateway": over})).url
        return start(Sidecar(folder, catalog(), {"service": {"port": port}, "proxy": over})).inbound

    return run


async def statuses(http: aiohttp.ClientSession, url: str, count: int, **headers: str) -> list[int]:
    """The answers to so many requests, one after the other."""
    found = []
    for _ in range(count):
        async with http.get(url, headers=headers) as answer:
            await answer.read()
            found.append(answer.status)
    return found


async def test_more_requests_than_allowed_are_refused(
    limited: Callable[..., str], http: aiohttp.ClientSession
) -> None:
    """With what a client needs to know: when to come again, as a problem document."""
    async with echo("site") as port:
        url = limited(port, limits=[{"requests": 2, "burst": 5, **SLOW}])
        assert await statuses(http, f"{url}/x", 5) == [200] * 5
        async with http.get(f"{url}/x") as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "43200"
            assert answer.headers["X-RateLimit-Limit"].startswith("5")
            assert answer.headers["X-RateLimit-Remaining"] == "0"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert (await answer.json(content_type=None))["status"] == 429


async def test_a_bucket_fills_again(limited: Callable[..., str], http: aiohttp.ClientSession) -> None:
    async with echo("site") as port:
        url = limited(port, limits=[{"requests": 1, "per": 0.2}])
        assert await statuses(http, f"{url}/x", 1) == [200]
        await until(lambda: granted(http, url))


async def granted(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether the next request is let through."""
    return await statuses(http, f"{url}/x", 1) == [200]


async def test_a_limit_holds_for_its_prefix_only(
    limited: Callable[..., str], http: aiohttp.ClientSession
) -> None:
    """As whole segments, whatever the version or the method; a request counts in each limit that fits."""
    async with echo("site") as port:
        url = limited(port, limits=[{"requests": 3, "prefix": "/login", **SLOW}, {"requests": 9, **SLOW}])
        assert await statuses(http, f"{url}/logins", 4) == [200] * 4
        assert await statuses(http, f"{url}/login", 1) == [200]
        assert await statuses(http, f"{url}/login?a=b", 1) == [200]
        assert await statuses(http, f"{url}/login/x", 2) == [200, 429]
        assert (await statuses(http, f"{url}/other", 3))[-1] == 429


async def test_clients_are_counted_apart(folder: Path, start: Start) -> None:
    """One that asks too often takes nothing from another."""
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        over = {"gateway": {"limits": [{"requests": 3, "by": "client", **SLOW}]}}
        door = start(Door(folder, known, over))
        found: dict[str, list[int]] = {}
        for address in ("127.0.0.2", "127.0.0.3"):
            connector = aiohttp.TCPConnector(local_addr=(address, 0))
            async with aiohttp.ClientSession(connector=connector) as client:
                found[address] = await statuses(client, f"{door.url}/x", 5)
        assert set(map(tuple, found.values())) == {(200, 200, 200, 429, 429)}


async def test_a_client_is_not_another_by_saying_so(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """X-Forwarded-For makes no new bucket, unless a load balancer in front is trusted to say it."""
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        limit = {"limits": [{"requests": 2, "by": "client", **SLOW}]}
        for hops, last in ((0, 429), (1, 200)):
            door = start(Door(folder / str(hops), known, {"gateway": {**limit, "trusted_hops": hops}}))
            found = [
                (await statuses(http, f"{door.url}/x", 1, **{"X-Forwarded-For": f"203.0.113.{number}"}))[0]
                for number in range(4)
            ]
            assert found[-1] == last, found


async def test_refusals_are_counted(folder: Path, start: Start, http: aiohttp.ClientSession) -> None:
    """As /metrics shows them, with Envoy's other statistics."""
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        door = start(Door(folder, known, {"gateway": {"limits": [{"requests": 2, **SLOW}]}}))
        await statuses(http, f"{door.url}/x", 5)
        found = await door.counters("limits.http_local_rate_limit")
        assert found["limits.http_local_rate_limit.rate_limited"] == 3
        assert found["limits.http_local_rate_limit.enforced"] == 3


async def test_ipv6_clients_are_their_networks(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Whoever has a /64 has as many addresses as he likes."""
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        over = {"gateway": {"limits": [{"requests": 2, "by": "client", **SLOW}], "trusted_hops": 1}}
        door = start(Door(folder, known, over))
        found = [
            (await statuses(http, f"{door.url}/x", 1, **{"X-Forwarded-For": f"2001:db8::{number}"}))[0]
            for number in range(4)
        ]
        assert found == [200, 200, 429, 429]
        assert await statuses(http, f"{door.url}/x", 1, **{"X-Forwarded-For": "2001:db8:0:1::1"}) == [200]


async def test_a_large_body_is_refused_before_it_is_read(
    limited: Callable[..., str], http: aiohttp.ClientSession
) -> None:
    """By its told length, also one that no machine can count; exactly the limit is let through."""
    reached: list[int] = []

    async def count(request: Any) -> int:
        reached.append(len(await request.read()))
        return 200

    async with echo("site", count) as port:
        url = limited(port, max_body=1000)
        address = Address.parse(url.removeprefix("http://"))
        for length in (1001, 10**9, 2**63, 2**64 - 1):
            reply = await send(address, request("/x", f"Content-Length: {length}", method="POST", body=b"a"))
            assert reply.status in (413, 400), (length, reply)
            if reply.status == 413:
                assert reply.headers["content-type"] == "application/problem+json"
        assert reached == []
        for length in (0, 1000):
            async with http.post(f"{url}/x", data=b"a" * length) as answer:
                assert answer.status == 200
        assert reached == [0, 1000]


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"a" * size


@pytest.mark.parametrize("smuggled", [{}, {"Upgrade": "websocket"}])
async def test_a_body_of_untold_length_is_refused_too(
    limited: Callable[..., str], http: aiohttp.ClientSession, smuggled: Mapping[str, str]
) -> None:
    """It is held until it is whole, so that the service sees nothing of one that is too large."""
    whole: list[int] = []

    async def count(request: Any) -> int:
        whole.append(len(await request.read()))
        return 200

    async with echo("site", count) as port:
        url = limited(port, max_body=1000)
        async with http.post(f"{url}/x", data=chunks(400, 400), headers=smuggled) as answer:
            assert answer.status == 200
        async with http.post(f"{url}/x", data=chunks(*[400] * 5), headers=smuggled) as answer:
            assert answer.status == 413
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert whole == [800]


async def test_a_held_body_may_be_larger_than_a_connections_buffer(
    limited: Callable[..., str], http: aiohttp.ClientSession
) -> None:
    """Which is 1 MiB."""
    whole: list[int] = []

    async def count(request: Any) -> int:
        whole.append(len(await request.content.read()))
        return 200

    async with echo("site", count) as port:
        url = limited(port, max_body=6_000_000)
        async with http.post(f"{url}/x", data=chunks(*[1_000_000] * 5)) as answer:
            assert answer.status == 200
        assert whole == [5_000_000]


async def test_what_is_told_is_not_held(limited: Callable[..., str]) -> None:
    """The service gets the first bytes while the last are still to come."""
    first = asyncio.Event()

    async def look(request: Any) -> int:
        await request.content.readany()
        first.set()
        await request.read()
        return 200

    async with echo("site", look) as port:
        address = Address.parse(limited(port, max_body=1000).removeprefix("http://"))
        async with opened(address) as (reader, writer):
            writer.write(request("/x", "Content-Length: 6", method="POST", body=b"abc"))
            async with asyncio.timeout(60):
                await first.wait()
            writer.write(b"def")
            assert b"200" in await reader.readline()


async def test_websockets_pass_a_limit_of_bodies(
    limited: Callable[..., str], http: aiohttp.ClientSession
) -> None:
    """What follows an upgrade is no body."""

    async def talk(request: Any) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(str(len(message.data)))
        return socket

    async with echo("site", talk) as port:
        url = limited(port, max_body=10)
        async with http.ws_connect(f"{url}/x") as socket:
            await socket.send_str("a" * 100)
            assert await socket.receive_str(timeout=60) == "100"


async def test_held_bodies_reach_the_service_whole(folder: Path, start: Start) -> None:
    """A slow client occupies no worker: the service hears of the request when all of it is there."""
    reached: list[str] = []

    def note(request: Any) -> int:
        reached.append(request.path)
        return 200

    async with echo("site", note) as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        door = start(Door(folder, known, {"gateway": {"max_body": 1000, "hold_bodies": True}}))
        async with opened(door.address) as (reader, writer):
            writer.write(request("/slow", "Content-Length: 6", method="POST", body=b"abc"))
            await writer.drain()
            for _ in range(5):  # each goes the whole way, past what is held
                assert (await send(door.address, request("/quick"))).status == 200
            assert reached == ["/quick"] * 5
            writer.write(b"def")
            assert b"200" in await reader.readline()
            assert reached[-1] == "/slow"
