"""Every timeout towards an upstream on real traffic, with its counter in the agent's scrape."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent.metrics.families import envoy
from tests.integration.proxy_plan import breaking
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.counted import counted
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance


def upstream(
    folder: Path, *ports: int, paths: list[Mapping[str, Any]] | None = None, **traffic: object
) -> Sidecar:
    """A sidecar in front of `orders` at these ports, with these settings."""
    entry = {"traffic": {"retries": 0, "ejection_failures": 0, **traffic}, "paths": paths or []}
    return Sidecar(
        folder, catalog(orders=[instance(port) for port in ports]), {"upstreams": {"orders": entry}}
    )


async def asked(
    http: aiohttp.ClientSession, sidecar: Sidecar, path: str = "/", method: str = "GET"
) -> tuple[int, float]:
    """The status of one request and the seconds that it took."""
    began = time.monotonic()
    async with http.request(method, f"http://orders{path}", proxy=sidecar.outbound) as answer:
        await answer.read()
        return answer.status, time.monotonic() - began


async def never(_: web.Request) -> web.Response:
    """Answers after more time than any test here grants, however late Envoy looks at its clock."""
    await asyncio.sleep(breaking.NEVER)
    return web.Response()


async def test_a_connection_that_is_not_made_in_time_is_given_up(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    with breaking.deaf() as port:
        sidecar = start(upstream(folder, port, connect_timeout=0.3))
        status, took = await asked(http, sidecar)
        assert status == 503
        assert took > 0.25
        assert await counted(sidecar, envoy.CONNECT_TIMEOUTS) == 1


async def test_a_post_whose_connection_was_not_made_in_time_goes_to_another_instance(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """It reached nothing, so it may."""
    with breaking.deaf() as port:
        async with echo("good") as good:
            sidecar = start(upstream(folder, port, good, connect_timeout=0.1, retries=2))
            assert {(await asked(http, sidecar, method="POST"))[0] for _ in range(10)} == {200}
            assert await counted(sidecar, envoy.CONNECT_TIMEOUTS) > 0


async def test_the_request_timeout_ends_a_request_with_all_its_tries(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Further tries don't get time of their own."""
    async with breaking.service() as service:
        sidecar = start(upstream(folder, service.port, timeout=2, per_try_timeout=0.8, retries=10))
        status, took = await asked(http, sidecar, "/silent")
        assert status == 504
        assert 1.9 < took < 8, "eleven tries would take more"
        assert 1 < service.times("GET", "/silent") <= 3
        assert await counted(sidecar, envoy.TIMEOUTS) == 1


async def test_a_try_that_takes_too_long_is_made_again_where_that_is_safe(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A GET gets another try, a POST does not."""
    async with breaking.service() as service, echo("good") as good:
        sidecar = start(upstream(folder, service.port, good, timeout=60, per_try_timeout=1, retries=2))
        # Which instance a request gets is a matter of chance.
        while service.times("GET", "/silent") < 4:
            assert (await asked(http, sidecar, "/silent"))[0] == 200
        assert await counted(sidecar, envoy.TRY_TIMEOUTS) == 4
        posts: list[int] = []
        while service.times("POST", "/silent") < 4 or 200 not in posts:
            posts.append((await asked(http, sidecar, "/silent", "POST"))[0])
        assert set(posts) == {200, 504}
        assert posts.count(504) == service.times("POST", "/silent")
        assert await counted(sidecar, envoy.TRY_TIMEOUTS) == 4 + posts.count(504)
        assert await counted(sidecar, envoy.TIMEOUTS) == 0


async def test_a_stream_on_which_nothing_moves_is_ended_and_one_that_moves_is_not(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Before the answer and within it, as with server-sent events whose source went silent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/none":
            return await never(request)
        stream = web.StreamResponse()
        await stream.prepare(request)
        for _ in range(25):
            await stream.write(b"x")
            await asyncio.sleep(breaking.NEVER if request.path == "/stops" else 0.1)
        return stream

    async with echo(answer=answer) as port:
        sidecar = start(upstream(folder, port, idle_timeout=2))
        async with http.get("http://orders/moves", proxy=sidecar.outbound) as got:
            assert await got.read() == b"x" * 25
        assert await counted(sidecar, envoy.IDLE_TIMEOUTS, "outbound") == 0
        assert (await asked(http, sidecar, "/none"))[0] == 504
        with pytest.raises(aiohttp.ClientPayloadError):
            await asked(http, sidecar, "/stops")
        assert await counted(sidecar, envoy.IDLE_TIMEOUTS, "outbound") == 2


async def test_each_setting_of_a_path_holds_below_it_and_nowhere_else(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """The longest prefix counts, as whole segments; what it leaves out is the upstream's."""
    paths = [
        {"prefix": "/reports", "timeout": 0.3},
        {"prefix": "/reports/big/", "timeout": 0},
        {"prefix": "/feed", "idle_timeout": 0.3},
        {"prefix": "/tries", "per_try_timeout": 0.3},
    ]
    want: dict[str, int] = {}

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(breaking.NEVER if want[request.path_qs] == 504 else 1)
        return web.Response()

    async with echo(answer=slow) as port:
        sidecar = start(upstream(folder, port, paths=paths))
        want |= {
            "/reports": 504, "/reports?a=b": 504, "/reports/x": 504, "/reports/big": 200, "/reportsx": 200,
            "/feed/x": 504, "/tries/x": 504, "/x/reports": 200,
        }  # fmt: skip
        found = dict(
            zip(want, await asyncio.gather(*(asked(http, sidecar, path) for path in want)), strict=True)
        )
        assert {path: status for path, (status, _) in found.items()} == want
        assert await counted(sidecar, envoy.TIMEOUTS) == 3
        assert await counted(sidecar, envoy.TRY_TIMEOUTS) == 1
        assert await counted(sidecar, envoy.IDLE_TIMEOUTS, "outbound") == 1
