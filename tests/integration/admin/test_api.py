"""The agent's API over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families

from agent.admin import own
from agent.admin.server import Admin
from agent.admin.sources import Sources
from agent.demo.backing import free_port
from agent.model.address import Address
from agent.model.store import Entry, Store
from agent.model.traffic import Traffic
from agent.runtime.errors import Permanent, Transient
from agent.runtime.latest import Latest
from tests.integration.registry.side import ended
from tests.integration.registry.side import running as started
from tests.unit.admin.examples import sources
from tests.waiting import until


@dataclass
class Running:
    """Three listeners and a client."""

    http: aiohttp.ClientSession
    api: str
    health: str
    metrics: str

    async def get(self, url: str, **more: str) -> tuple[int, str, aiohttp.typedefs.CIMultiDictProxy[str]]:
        """Status, body and headers."""
        async with self.http.get(url, headers=more) as response:
            return response.status, await response.text(), response.headers


@asynccontextmanager
async def running(given: Sources, within: float = 120) -> AsyncIterator[Running]:
    """The API of these sources on free ports, for so many seconds at most."""
    ports = [free_port() for _ in range(3)]
    addresses = [Address("127.0.0.1", port) for port in ports]
    task = await started(Admin(given, addresses[0], health=addresses[1], metrics=addresses[2]))
    try:
        async with asyncio.timeout(within), aiohttp.ClientSession() as http:
            yield Running(http, *(f"http://127.0.0.1:{port}" for port in ports))
    finally:
        await ended(task)


async def test_status_is_given_as_json_and_as_a_page() -> None:
    async with running(sources()) as agent:
        status, body, headers = await agent.get(f"{agent.api}/status")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert '"instance":"orders-1"' in body
        assert '"versions":["v1","v2.1"]' in body
        status, body, headers = await agent.get(f"{agent.api}/")
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert "orders-1" in body
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_the_probes_say_whether_it_lives_and_is_ready_and_why_not() -> None:
    async with running(sources(ready=False)) as agent:
        for base in (agent.api, agent.health):
            assert (await agent.get(f"{base}/healthz"))[:2] == (200, "ok\n")
            assert (await agent.get(f"{base}/readyz"))[:2] == (503, "The service does not answer.\n")
    async with running(sources()) as agent:
        assert (await agent.get(f"{agent.health}/readyz"))[:2] == (200, "ready\n")


async def test_a_pods_probes_ask_for_envoy_alone() -> None:
    reason = "Envoy has not accepted any configuration yet"
    async with running(sources(ready=False)) as agent:
        assert (await agent.get(f"{agent.health}/envoyz"))[:2] == (200, "ready\n")
    async with running(sources(serving=lambda: (False, (reason,)))) as agent:
        assert (await agent.get(f"{agent.health}/envoyz"))[:2] == (503, f"{reason}\n")


@pytest.mark.parametrize("path", ["/", "/status", "/v1/config/feature/limit", "/drain"])
async def test_the_open_listeners_serve_nothing_else(path: str) -> None:
    async with running(sources()) as agent:
        assert (await agent.get(agent.health + path))[0] == 404
        assert (await agent.get(agent.metrics + path))[0] == 404
        assert (await agent.get(f"{agent.metrics}/healthz"))[0] == 404
        assert (await agent.get(f"{agent.health}/metrics"))[0] == 404


async def test_a_web_page_reaches_the_api_neither_by_a_name_of_its_own_nor_by_posting() -> None:
    drained = []

    async def drain(wait: bool) -> bool:
        drained.append(wait)
        return True

    async with running(sources(drain=drain)) as agent:
        assert (await agent.get(f"{agent.api}/status", Host="evil.example"))[0] == 403
        assert (await agent.get(f"{agent.health}/readyz", Host="anything.example"))[0] == 200
        async with agent.http.post(
            f"{agent.api}/drain", headers={"Origin": "http://evil.example"}
        ) as response:
            assert response.status == 403
        assert drained == []
        async with agent.http.get(f"{agent.api}/status") as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_what_an_envoy_passes_on_is_refused_even_under_a_local_name() -> None:
    """Whoever registers this agent's own address as an instance gets no answer through a gateway."""
    async with running(sources()) as agent:
        assert (await agent.get(f"{agent.api}/status", Host="localhost"))[0] == 200
        for header in ({"X-Forwarded-Proto": "http"}, {"X-Forwarded-For": "10.0.0.1"}):
            assert (await agent.get(f"{agent.api}/status", Host="localhost", **header))[0] == 403


async def test_drain_waits_only_when_asked_to() -> None:
    async def drain(wait: bool) -> bool:
        return wait

    async with running(sources(drain=drain)) as agent:
        async with agent.http.post(f"{agent.api}/drain") as response:
            assert await response.json() == {"drained": False}
        async with agent.http.post(f"{agent.api}/drain?wait=1") as response:
            assert await response.json() == {"drained": True}


async def test_a_configuration_value_is_given_with_its_index() -> None:
    async with running(sources()) as agent:
        status, body, headers = await agent.get(f"{agent.api}/v1/config/feature/limit")
        assert (status, body, headers["X-Pillion-Index"]) == (200, "s3cret", "7")
        status, _, headers = await agent.get(f"{agent.api}/v1/config/none")
        assert (status, headers["X-Pillion-Index"]) == (404, "0")
        assert (await agent.get(f"{agent.api}/v1/config/none?index=x"))[0] == 400


async def test_a_long_poll_answers_at_the_keys_change_and_not_at_anothers() -> None:
    store = Latest(Store({"a": Entry(7, b"1")}, 7))
    async with running(sources(store=store)) as agent:
        poll = asyncio.create_task(agent.get(f"{agent.api}/v1/config/a?index=7&wait=100s"))
        born = asyncio.create_task(agent.get(f"{agent.api}/v1/config/b?index=0&wait=100s"))
        await asyncio.sleep(0.1)
        store.set(Store({"a": Entry(7, b"1"), "b": Entry(8, b"new")}, 8))
        assert (await born)[:2] == (200, "new")
        assert not poll.done()
        store.set(Store({"a": Entry(5, b"2")}, 5))
        status, body, headers = await poll
        assert (status, body, headers["X-Pillion-Index"]) == (200, "2", "5")


async def test_a_long_poll_ends_after_its_wait_and_with_the_agent() -> None:
    async with running(sources()) as agent:
        assert (await agent.get(f"{agent.api}/v1/config/feature/limit?index=7&wait=50ms"))[0] == 200
        poll = asyncio.create_task(agent.get(f"{agent.api}/v1/config/feature/limit?index=7&wait=1h"))
        await asyncio.sleep(0.1)
        left = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - left < 30  # aiohttp's own patience is a minute
    with suppress(aiohttp.ClientError, asyncio.CancelledError):
        await poll


async def test_an_address_in_use_is_named_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Permanent, match=rf"127.0.0.1:{port} \(admin.listen\)"):
            await Admin(sources(), Address("127.0.0.1", port)).run(lambda: None)


def silent() -> Callable[[], Awaitable[str]]:
    """An Envoy that does not answer."""

    async def metrics() -> str:
        raise Transient("no answer")

    return metrics


async def test_without_envoy_the_scrape_has_the_agents_metrics() -> None:
    async with running(sources(envoy_metrics=silent())) as agent:
        status, body, _ = await agent.get(f"{agent.metrics}/metrics")
        assert status == 200
        assert "pillion_envoy_answered 0.0\n" in body


async def test_a_scrape_is_in_the_one_form_whatever_is_asked_for() -> None:
    """OpenMetrics would give Envoy's counters other names than rules and dashboard ask for."""
    async with running(sources(envoy_metrics=silent())) as agent:
        for accept in ("application/openmetrics-text;version=1.0.0", "text/html", "*/*"):
            status, body, headers = await agent.get(f"{agent.metrics}/metrics", Accept=accept)
            assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
            assert "pillion_envoy_answered" in {one.name for one in text_string_to_metric_families(body)}


async def test_the_page_brings_its_own_style_and_script_and_forbids_all_others() -> None:
    async with running(sources()) as agent:
        for name, kind in (
            ("page.css", "text/css"),
            ("page.js", "text/javascript"),
            ("icon.svg", "image/svg+xml"),
        ):
            status, body, headers = await agent.get(f"{agent.api}/{name}")
            assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
            assert body
            assert (await agent.get(f"{agent.api}/{name}", Host="evil.example"))[0] == 403
            assert (await agent.get(f"{agent.metrics}/{name}"))[0] == 404
        _, page, headers = await agent.get(f"{agent.api}/")
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert " style=" not in page
        assert " on" not in "".join(part for part in page.split("<") if part.startswith("script"))
        assert (await agent.get(f"{agent.api}/../page.py"))[0] == 404


async def test_whom_the_service_calls_is_told_beside_the_metrics() -> None:
    async def seen() -> dict[str, Traffic]:
        return {"stock": Traffic((), 5, 2, 1), "idle": Traffic()}

    async def silent() -> dict[str, Traffic]:
        raise Transient("no answer")

    told = '{"service":"orders","calls":{"stock":{"requests":5,"failed":2,"retries":1}}}'
    async with running(sources(calls=seen)) as agent:
        assert (await agent.get(f"{agent.metrics}/calls"))[:2] == (200, told)
        assert (await agent.get(f"{agent.health}/calls"))[0] == 404
    async with running(sources(calls=silent)) as agent:
        assert (await agent.get(f"{agent.metrics}/calls"))[0] == 503


async def test_the_services_own_metrics_come_in_the_scrape_and_a_service_that_hangs_costs_a_second() -> None:
    async def shown(_: web.Request) -> web.Response:
        return web.Response(text="# TYPE shop_orders counter\nshop_orders_total 3\n")

    async def hanging(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_get("/metrics", shown)
    app.router.add_get("/hanging", hanging)
    async with TestServer(app) as service:
        good = partial(own.metrics, str(service.make_url("/metrics")))
        bad = partial(own.metrics, str(service.make_url("/hanging")))
        async with running(sources(service_metrics=good)) as agent:

            async def scraped() -> str:
                body = (await agent.get(f"{agent.metrics}/metrics"))[1]
                return body if "pillion_service_metrics_answered 1.0" in body else ""

            # One that takes more than a second, as on a busy machine, is left out of that scrape.
            assert "shop_orders_total 3" in await until(scraped)
        async with running(sources(service_metrics=bad)) as agent:
            body = (await agent.get(f"{agent.metrics}/metrics"))[1]
            assert "pillion_service_metrics_answered 0.0" in body
            assert "pillion_mine_total" in body
