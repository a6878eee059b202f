"""What is tried again, how often, and what never is."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.demo import backing
from agent.metrics.families import envoy
from agent.model.catalog import Service
from tests.integration.proxy_plan import breaking
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.counted import counted
from tests.integration.proxy_plan.rig import Door, Envoy, Sidecar, catalog, echo, instance
from tests.waiting import until

# Time enough for a request to reach the service, wherever something is put to sleep.
TRAFFIC = {"ejection_failures": 0, "timeout": 5, "per_try_timeout": 2, "idle_timeout": 60}
STAGES = [*breaking.BROKEN, *breaking.REFUSING, *breaking.SILENT]
ONCE = ("POST", "PATCH")
# What a client may say to be repeated; only Pillion may.
WISHES = {"x-envoy-retry-on": "5xx,reset,retriable-4xx", "x-envoy-max-retries": "3"}


@dataclass
class Way:
    """How a request gets to the service: a URL before the path, and the proxy to ask."""

    envoys: list[Envoy]
    url: str
    proxy: str | None = None


def by_name(folder: Path, ports: list[int]) -> Way:
    """Through a caller's sidecar by `HTTP_PROXY`."""
    known = catalog(orders=[instance(port) for port in ports])
    sidecar = Sidecar(folder, known, {"traffic": TRAFFIC})
    return Way([sidecar], "http://orders", sidecar.outbound)


def by_port(folder: Path, ports: list[int]) -> Way:
    """Through a caller's sidecar by an explicit port."""
    known = catalog(orders=[instance(port) for port in ports])
    own = backing.free_port()
    over = {"traffic": TRAFFIC, "upstreams": {"*": {}, "orders": {"port": own}}}
    return Way([Sidecar(folder, known, over)], f"http://127.0.0.1:{own}")


def by_gateway(folder: Path, ports: list[int]) -> Way:
    """Through the gateway."""
    known = catalog(orders=Service("orders", tuple(instance(port) for port in ports), ("/",)))
    door = Door(folder, known, {"traffic": TRAFFIC})
    return Way([door], door.url)


def by_all(folder: Path, ports: list[int]) -> Way:
    """Through the gateway and the sidecar of each instance."""
    inner = [
        Sidecar(folder / f"i{port}", catalog(), {"service": {"name": "orders", "port": port}})
        for port in ports
    ]
    known = catalog(
        orders=Service("orders", tuple(instance(int(one.inbound.rsplit(":", 1)[1])) for one in inner), ("/",))
    )
    door = Door(folder / "d", known, {"traffic": TRAFFIC})
    return Way([*inner, door], door.url)


@pytest.mark.parametrize("way", [by_name, by_port, by_gateway, by_all])
async def test_a_post_that_reached_a_service_is_never_sent_twice(
    folder: Path, start: Start, http: aiohttp.ClientSession, way: Callable[[Path, list[int]], Way]
) -> None:
    """Wherever it breaks and whatever is answered, with a second instance that would take it; a GET is repeated, so
    the test can fail."""
    async with breaking.service() as one, breaking.service() as other:
        to = way(folder, [one.port, other.port])
        for process in to.envoys:
            start(process)
        body = b"x" * 300_000

        async def send(method: str, stage: str) -> None:
            data = body if method in ONCE else None
            with suppress(aiohttp.ClientError):
                async with http.request(
                    method, f"{to.url}{stage}", data=data, proxy=to.proxy, headers=WISHES
                ) as answer:
                    await answer.read()

        for stage in STAGES:
            for method in ONCE:
                await send(method, stage)
        # What would be sent late is sent by now: back-off is 250 ms at most.
        await asyncio.gather(*(send("GET", stage) for stage in STAGES))
        for stage in STAGES:
            for method in ONCE:
                assert one.times(method, stage) + other.times(method, stage) == 1, (method, stage)
        gets = {stage: one.times("GET", stage) + other.times("GET", stage) for stage in STAGES}
        repeated = {"/reset-after-headers", "/reset-after-request", "/answer-503", "/silent"}
        assert all(gets[stage] > 1 for stage in repeated), gets
        assert [gets[f"/answer-{status}"] for status in (409, 429, 500)] == [1, 1, 1]


async def test_an_idempotent_request_is_tried_as_often_as_the_setting_says(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """By method, also per upstream and per path; what helped is counted."""
    async with breaking.service() as bad, breaking.service({}) as good:
        paths = [{"prefix": "/answer-502", "retries": 0}, {"prefix": "/answer-504", "retries": 4}]
        traffic = {"retries": 2, "ejection_failures": 0}
        over = {"upstreams": {"orders": {"traffic": traffic, "paths": paths}}}
        sidecar = start(Sidecar(folder / "a", catalog(orders=[instance(bad.port)]), over))

        async def status(method: str, path: str, through: Sidecar = sidecar) -> int:
            async with http.request(method, f"http://orders{path}", proxy=through.outbound) as answer:
                return answer.status

        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            assert await status(method, "/answer-503") == 503
            assert bad.times(method, "/answer-503") == 3
        assert await status("GET", "/answer-502") == 502
        assert await status("GET", "/answer-504") == 504
        assert (bad.times("GET", "/answer-502"), bad.times("GET", "/answer-504")) == (1, 5)
        assert await counted(sidecar, envoy.RETRIES) == 14
        assert await counted(sidecar, envoy.RETRIES_WON) == 0
        known = catalog(orders=[instance(bad.port), instance(good.port)])
        both = start(Sidecar(folder / "b", known, over))
        # Which instance a request gets is a matter of chance; forty in a row don't find the same.
        assert {await status("GET", "/answer-503", both) for _ in range(40)} == {200}
        assert await counted(both, envoy.RETRIES_WON) == await counted(both, envoy.RETRIES) > 0


async def test_the_budget_holds_further_tries_back_when_everything_fails(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Of few requests all are tried again; of many at once a fifth, so that a sick service gets no flood on top."""
    seen = wanted = 0
    together, decided = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        again = seen > wanted
        if seen == wanted:
            together.set()
        await (decided if again else together).wait()
        return web.Response(status=503)

    async def judged(number: int) -> bool:
        return await counted(sidecar, envoy.RETRIES) + await counted(sidecar, envoy.RETRIES_HELD) == number

    async def all_at_once(number: int) -> int:
        """How many requests the service got; no second try ends before each request has one or is refused it."""
        nonlocal seen, wanted
        before = await counted(sidecar, envoy.RETRIES) + await counted(sidecar, envoy.RETRIES_HELD)
        seen, wanted = 0, number
        together.clear()
        decided.clear()
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for _ in range(number):
                tasks.create_task(one())
            await until(lambda: judged(int(before) + number), within=60)
            decided.set()
        return seen

    async def one() -> None:
        async with http.get("http://orders/", proxy=sidecar.outbound) as got:
            assert got.status == 503

    over = {"traffic": {"retries": 1, "ejection_failures": 0}}
    async with echo(answer=answer) as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)]), over))
        assert await all_at_once(20) == 40
        assert await counted(sidecar, envoy.RETRIES_HELD) == 0
        sent = await all_at_once(400)
        held = await counted(sidecar, envoy.RETRIES_HELD)
        assert 400 + 50 <= sent <= 400 + 400 // 5
        assert held == 800 - sent
