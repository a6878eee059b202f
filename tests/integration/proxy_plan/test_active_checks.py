"""Active health checks: what they leave out and bring back, and what they cost those who are asked."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from agent.metrics.families import envoy
from agent.model.address import Address
from agent.proxy.snapshot import Snapshot
from tests.integration.proxy_plan.conftest import Begin, Start
from tests.integration.proxy_plan.counted import counted
from tests.integration.proxy_plan.rig import Door, Sidecar, catalog, echo, instance, with_otlp
from tests.waiting import until

CHECKS: dict[str, Any] = {
    "check_path": "/health",
    "check_interval": 0.1,
    "check_timeout": 10,
    "check_failures": 2,
    "check_passes": 1,
}
"""What counts is what a service answers, not how soon: all of them are in the test's own process."""
CHECK = {"User-Agent": "Envoy/HC"}


class Service:
    """Answers by path (200 for those it was told nothing of), and all requests that it got."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = {f"/{path}": status for path, status in statuses.items()}
        self.requests: list[web.Request] = []

    def answer(self, request: web.Request) -> int:
        """The status."""
        self.requests.append(request)
        return self.statuses.get(request.path, 200)

    def times(self, path: str) -> int:
        """How often the path was asked for."""
        return sum(request.path == path for request in self.requests)


def inbound_port(sidecar: Sidecar) -> int:
    """Where callers reach the service beside it."""
    return Address.parse(sidecar.settings.proxy.inbound).port


async def healthy(sidecar: Sidecar) -> float:
    """Instances of `orders` that the sidecar takes to be well."""
    return await counted(sidecar, envoy.HEALTHY)


async def names(
    http: aiohttp.ClientSession, sidecar: Sidecar, number: int, method: str = "GET"
) -> Counter[str]:
    """Who answered so many requests."""
    found: Counter[str] = Counter()
    for _ in range(number):
        async with http.request(method, "http://orders/", proxy=sidecar.outbound) as answer:
            found[(await answer.json())["name"] if answer.status == 200 else str(answer.status)] += 1
    return found


async def test_an_instance_that_fails_its_checks_gets_no_requests_until_it_answers_again(
    folder: Path, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Though Consul says that it passes, and though nobody called it meanwhile."""
    sick = Service(health=503)
    async with echo("sick", sick.answer) as bad, echo("well") as good:
        over = {"upstreams": {"orders": {"traffic": CHECKS}}}
        sidecar = await begin(Sidecar(folder, catalog(orders=[instance(bad), instance(good)]), over))
        await until(lambda: _is(sidecar, 1))
        assert await names(http, sidecar, 20, "POST") == {"well": 20}
        assert await counted(sidecar, envoy.CHECKS_FAILED) > 0
        assert sick.times("/") == 0
        sick.statuses["/health"] = 302
        await until(lambda: _is(sidecar, 2))
        assert set(await names(http, sidecar, 40)) == {"sick", "well"}
        sick.statuses["/health"] = 404
        await until(lambda: _is(sidecar, 1))
        assert await names(http, sidecar, 20, "POST") == {"well": 20}
        asked = sick.requests[0]
        assert (asked.method, asked.host, asked.headers["traceparent"][-3:]) == ("GET", "orders", "-00")


async def _is(sidecar: Sidecar, number: int) -> bool:
    return await healthy(sidecar) == number


async def test_a_check_that_nobody_answers_stops_nothing(
    folder: Path, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """With a path that is wrong all instances seem unwell; they get requests all the same, which is counted."""
    wrong = Service(health=404)
    async with echo("a", wrong.answer) as a, echo("b", wrong.answer) as b:
        over = {"upstreams": {"orders": {"traffic": CHECKS}}}
        sidecar = await begin(Sidecar(folder, catalog(orders=[instance(a), instance(b)]), over))
        await until(lambda: _is(sidecar, 0))
        assert set(await names(http, sidecar, 40, "POST")) == {"a", "b"}
        assert await counted(sidecar, envoy.ALL_UNWELL) == 40


async def test_one_well_instance_of_three_gets_everything(
    folder: Path, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Envoy's own rule would send two thirds to those that are down."""
    sick = Service(health=503)
    async with echo("x", sick.answer) as x, echo("y", sick.answer) as y, echo("well") as well:
        over = {"traffic": CHECKS}
        known = catalog(orders=[instance(one) for one in (x, y, well)])
        sidecar = await begin(Sidecar(folder, known, over))
        await until(lambda: _is(sidecar, 1))
        assert await names(http, sidecar, 30, "POST") == {"well": 30}
        assert await counted(sidecar, envoy.ALL_UNWELL) == 0


async def test_an_instance_that_answers_checks_but_fails_requests_stays_ejected(
    folder: Path, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Its good checks do not bring it back before its time."""
    failing = Service()
    over = {"traffic": {**CHECKS, "ejection_failures": 2}}

    def answer(request: web.Request) -> int:
        return failing.answer(request) if request.path == "/health" else 500

    async with echo(answer=answer) as bad, echo("well") as good:
        sidecar = await begin(Sidecar(folder, catalog(orders=[instance(bad), instance(good)]), over))
        await until(lambda: _is(sidecar, 2))
        while await healthy(sidecar) == 2:
            await names(http, sidecar, 1, "POST")
        checked = failing.times("/health")
        await until(lambda: failing.times("/health") > checked + 5)
        assert await names(http, sidecar, 20, "POST") == {"well": 20}


async def test_a_service_is_asked_once_in_its_interval_however_many_ask(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Its sidecar answers the others, and none of it counts as a request; people get the service's own answer."""
    service = Service()
    async with echo("orders", service.answer) as port:
        own = {"name": "orders", "port": port, "health_path": "/health", "health_interval": 30}
        sidecar = start(Sidecar(folder, catalog(), {"service": own}))

        async def check() -> int:
            async with http.get(f"{sidecar.inbound}/health", headers=CHECK) as answer:
                return answer.status

        assert await check() == 200
        assert set(await asyncio.gather(*(check() for _ in range(100)))) == {200}
        assert service.times("/health") == 1
        assert await counted(sidecar, envoy.ANSWERS, "inbound") == 0
        async with http.get(f"{sidecar.inbound}/health") as answer:
            assert (await answer.json())["path"] == "/health"
        assert service.times("/health") == 2
        assert await counted(sidecar, envoy.ANSWERS, "inbound") == 1


async def test_a_callers_checks_pass_the_peers_sidecar_and_notice_that_its_service_is_gone(
    folder: Path, start: Start, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Both Envoys are real; the peer's says what its service last said, at most so old."""
    service = Service()
    async with echo("one", service.answer) as port, echo("other") as other:
        own = {"name": "orders", "port": port, "health_path": "/health", "health_interval": 0.2}
        peer = start(Sidecar(folder / "peer", catalog(), {"service": own}))
        known = catalog(orders=[instance(inbound_port(peer)), instance(other)])
        caller = await begin(Sidecar(folder / "caller", known, {"traffic": CHECKS}))
        await until(lambda: _is(caller, 2))
        assert set(await names(http, caller, 20)) == {"one", "other"}
        service.statuses["/health"] = 503
        await until(lambda: _is(caller, 1))
        assert await names(http, caller, 20, "POST") == {"other": 20}
        service.statuses["/health"] = 200
        await until(lambda: _is(caller, 2))
        peer.kill()
        await until(lambda: _is(caller, 1))
        assert await names(http, caller, 20, "POST") == {"other": 20}


async def test_nobody_outside_can_make_an_instance_look_unwell(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Who comes through the gateway and calls himself a check gets an answer of his own, which counts for him only."""
    service = Service()
    async with echo("orders", service.answer) as port:
        over = {
            "service": {"name": "orders", "port": port, "health_path": "/health", "health_interval": 30},
            "versions": {"serves": ["v1"]},
        }
        peer = start(Sidecar(folder / "peer", catalog(), over))
        door = start(Door(folder / "door", catalog(orders=[instance(inbound_port(peer))])))
        async with http.get(f"{door.url}/orders/health", headers={**CHECK, "X-API-Version": "9"}) as answer:
            assert answer.status == 404
        async with http.get(f"{peer.inbound}/health", headers=CHECK) as answer:
            assert answer.status == 200
        assert service.times("/health") == 1


def collector(port: int) -> Callable[[Snapshot], Snapshot]:
    """Spans go to this port."""

    def change(snapshot: Snapshot) -> Snapshot:
        changed = with_otlp(snapshot)
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        changed.clusters["otlp"]["load_assignment"]["endpoints"] = [
            {"lb_endpoints": [{"endpoint": {"address": address}}]}
        ]
        return changed

    return change


async def test_a_check_makes_no_span_on_either_side(
    folder: Path, start: Start, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """With every request sampled, and also where the path is not the one that the peer answers for."""
    spans: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        spans.append(await request.read())
        return web.Response()

    service = Service()
    async with echo("orders", service.answer) as port, echo(answer=collect) as otlp:
        tracing = {"endpoint": f"http://127.0.0.1:{otlp}", "sample": 1.0}
        own = {"name": "orders", "port": port, "health_path": "/health", "health_interval": 0.1}
        peer = start(
            Sidecar(folder / "peer", catalog(), {"service": own, "tracing": tracing}, change=collector(otlp))
        )
        known = catalog(orders=[instance(inbound_port(peer))])
        for path in ("/health", "/live"):
            over = {"traffic": {**CHECKS, "check_path": path}, "tracing": tracing}
            caller = await begin(Sidecar(folder / path[1:], known, over, change=collector(otlp)))
            await names(http, caller, 1)
            before = service.times(path)
            await until(lambda path=path, before=before: service.times(path) > before + 5)
        async with http.get(f"{peer.inbound}/seen", headers=CHECK) as answer:
            assert answer.status == 200
        await until(lambda: any(b"/seen" in one for one in spans), within=60)
        await until(lambda: b"".join(spans).count(b"upstream_orders") >= 1, within=60)
        assert not any(path in one for one in spans for path in (b"/health", b"/live"))
