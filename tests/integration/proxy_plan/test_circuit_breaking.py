"""Circuit breaking on real traffic: each limit, with its counter and gauge in the agent's scrape."""

import asyncio
from pathlib import Path

import aiohttp
from aiohttp import web

from agent.metrics.families import envoy
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.counted import counted
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance
from tests.waiting import until


class Waiting:
    """A service whose answers wait for a word."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.there = 0

    async def answer(self, _: web.Request) -> web.Response:
        """Answer once the word is given."""
        self.there += 1
        await self.release.wait()
        return web.Response()


def limited(folder: Path, port: int, **traffic: object) -> Sidecar:
    """A sidecar with such limits towards `orders`."""
    over = {"upstreams": {"orders": {"traffic": {"retries": 0, **traffic}}}}
    return Sidecar(folder, catalog(orders=[instance(port)]), over)


async def asked(http: aiohttp.ClientSession, sidecar: Sidecar) -> tuple[int, str]:
    """Status and text of one request that is never repeated."""
    async with http.post("http://orders/", proxy=sidecar.outbound) as answer:
        return answer.status, await answer.text()


async def test_requests_beyond_the_connections_wait_and_beyond_the_waiting_are_refused(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """One connection and one that waits for it: the third of three is told so at once."""
    service = Waiting()
    async with echo(answer=service.answer) as port:
        sidecar = start(limited(folder, port, max_connections=1, max_pending=1))
        first = asyncio.create_task(asked(http, sidecar))
        await until(lambda: service.there == 1)
        second = asyncio.create_task(asked(http, sidecar))
        await until(lambda: counted(sidecar, envoy.CONNECTIONS_FULL))
        await until(lambda: counted(sidecar, envoy.PENDING_OPEN))
        assert await counted(sidecar, envoy.CONNECTIONS_OPEN) == 1
        status, text = await asyncio.wait_for(asked(http, sidecar), 60)
        assert status == 503
        assert "Circuit open" in text
        assert await counted(sidecar, envoy.PENDING_FULL) == 1
        assert service.there == 1
        service.release.set()
        assert [(await first)[0], (await second)[0]] == [200, 200]
        assert (await asked(http, sidecar))[0] == 200
        assert await counted(sidecar, envoy.PENDING_OPEN) == 0


async def test_requests_beyond_the_limit_are_refused_until_others_end(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Three are under way; a fourth is not sent, and not repeated either."""
    service = Waiting()
    async with echo(answer=service.answer) as port:
        sidecar = start(limited(folder, port, max_requests=3, retries=2))
        three = [asyncio.create_task(asked(http, sidecar)) for _ in range(3)]
        await until(lambda: service.there == 3)
        assert await counted(sidecar, envoy.REQUESTS_OPEN) == 1
        async with http.get("http://orders/", proxy=sidecar.outbound) as answer:
            assert answer.status == 503
            assert "Circuit open" in await answer.text()
        assert await counted(sidecar, envoy.REQUESTS_FULL) == 1
        assert await counted(sidecar, envoy.RETRIES) == 0
        service.release.set()
        assert [status for status, _ in await asyncio.gather(*three)] == [200, 200, 200]
        assert (await asked(http, sidecar))[0] == 200
        assert await counted(sidecar, envoy.REQUESTS_OPEN) == 0


async def test_a_full_upstream_leaves_others_alone(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Limits are each upstream's own."""
    service = Waiting()
    async with echo(answer=service.answer) as full, echo("stock") as other:
        known = catalog(orders=[instance(full)], stock=[instance(other)])
        sidecar = start(Sidecar(folder, known, {"traffic": {"max_requests": 1, "retries": 0}}))
        task = asyncio.create_task(asked(http, sidecar))
        await until(lambda: service.there == 1)
        assert (await asked(http, sidecar))[0] == 503
        async with http.get("http://stock/", proxy=sidecar.outbound) as answer:
            assert answer.status == 200
        service.release.set()
        assert (await task)[0] == 200
