"""Live settings, from the document in KV to the real Envoy, under a load of which nothing is ever repeated."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from agent.config import live
from agent.config.sections.traffic import Traffic
from agent.config.settings import Settings
from agent.demo.backing import free_port
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.proxy import assets
from agent.proxy.admin import EnvoyAdmin
from agent.proxy.metrics import Metrics
from agent.proxy.planner import plan
from agent.proxy.planning import Planning
from agent.runtime.latest import Latest
from tests.integration.proxy_plan.breaking import NEVER, deaf
from tests.integration.xds.rig import Agent, Envoy, end
from tests.serving import closed
from tests.waiting import until

EACH: Mapping[str, Any] = {
    "connect_timeout": 2, "idle_timeout": 20, "timeout": 20, "per_try_timeout": 10, "retries": 1,
    "max_connections": 900, "max_pending": 900, "max_requests": 900,
    "ejection_failures": 9, "ejection_on": "gateway", "ejection_time": 3,
    "balance": "round_robin", "hash_header": "x-user",
    "check_path": "/health", "check_interval": 0.2, "check_timeout": 0.5, "check_failures": 4, "check_passes": 1,
}  # fmt: skip
"""Another value for each live setting of `traffic`."""


@asynccontextmanager
async def service(name: str, word: asyncio.Event | None = None) -> AsyncIterator[int]:
    """A service whose answers take a moment, so that requests are under way at every change.

    ``/long`` is answered bit by bit until the word is given, at ``/quick/never`` nothing is.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/long" and word is not None:
            stream = web.StreamResponse()
            await stream.prepare(request)
            while not word.is_set():
                await stream.write(b"x")
                await asyncio.sleep(0.05)
            await stream.write(b"y")
            return stream
        if request.path == "/quick/never":
            await asyncio.sleep(NEVER)
        await asyncio.sleep(0 if request.path == "/health" else 0.03)
        return web.Response(text=name)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await closed(runner)


@dataclass
class Caller:
    """An agent's way from live settings and catalogue to Envoy, and clients that call `orders` all the time."""

    agent: Agent
    base: Settings
    catalog: Latest[Catalog]
    settings: Latest[Settings]
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """The service's HTTP_PROXY."""
        return f"http://{self.base.proxy.outbound}"

    @property
    def failed(self) -> dict[str, int]:
        """Answers that are none of a service's."""
        return {what: times for what, times in self.seen.items() if not what.startswith("200")}

    @property
    def sent(self) -> int:
        """Requests that are over."""
        return self.seen.total()

    def instances(self, *ports: int) -> Catalog:
        """The catalogue with `orders` at these ports."""
        found = tuple(Instance(f"o-{port}", Address("127.0.0.1", port)) for port in ports)
        return Catalog({"orders": Service("orders", found)})

    def _wanted(self) -> str:
        return plan(self.settings.value, self.catalog.value, assets.load()).hash

    async def in_force(self) -> None:
        """Wait until Envoy has what settings and catalogue say now."""
        await until(lambda: self.agent.revision.value.in_force == self._wanted(), within=60)
        assert self.agent.revision.value.refusals == ()

    async def override(self, document: Mapping[str, Any]) -> None:
        """Put a document into force, as if KV held it, and let some requests meet it."""
        self.settings.set(live.override(self.base, json.dumps(document).encode()))
        await self.in_force()
        await self.more(20)

    async def more(self, number: int) -> None:
        """Wait for so many further requests."""
        sent = self.sent
        await until(lambda: self.sent > sent + number, within=60)

    @asynccontextmanager
    async def load(self, clients: int = 6) -> AsyncIterator[None]:
        """Call while the block runs, half of it with POST."""
        async with aiohttp.ClientSession() as session:
            tasks = [
                asyncio.create_task(self._call(session, "POST" if n % 2 else "GET"), name="load")
                for n in range(clients)
            ]
            try:
                yield
            finally:
                for task in tasks:
                    await end(task)

    async def _call(self, session: aiohttp.ClientSession, method: str) -> None:
        headers = {"X-User": method}
        while True:
            try:
                async with session.request(
                    method, "http://orders/", proxy=self.url, headers=headers
                ) as answer:
                    self.seen[f"{answer.status} {(await answer.text())[:200]}"] += 1
            except aiohttp.ClientError as error:
                self.seen[repr(error)] += 1


Calling = Callable[..., Any]


@pytest.fixture
def calling(agent: Agent, envoy: Envoy) -> Calling:
    """Starts all of it for a service at these ports; nothing is ever repeated, so that every loss shows."""

    @asynccontextmanager
    async def run(*ports: int, traffic: Mapping[str, Any] | None = None) -> AsyncIterator[Caller]:
        base = msgspec.convert(
            {
                "service": {"name": "front", "port": 1},
                "proxy": {
                    "inbound": f"127.0.0.1:{free_port()}",
                    "outbound": f"127.0.0.1:{free_port()}",
                },
                "traffic": {"retries": 0, "ejection_failures": 0, **(traffic or {})},
            },
            Settings,
        )
        caller = Caller(agent, base, Latest(Catalog()), Latest(base))
        caller.catalog.set(caller.instances(*ports))
        planning = Planning(
            lambda catalog, settings: plan(settings, catalog, assets.load()),
            caller.catalog, caller.settings, agent.snapshots,
            health=agent.board.of("planning"), metrics=Metrics(CollectorRegistry()),
        )  # fmt: skip
        task = asyncio.create_task(planning.run(lambda: None), name="planning")
        try:
            async with agent.running():
                envoy.start()
                await caller.in_force()
                yield caller
        finally:
            await end(task)

    return run


def test_the_list_below_holds_every_live_setting() -> None:
    assert EACH.keys() == set(Traffic.__struct_fields__)
    assert all(getattr(Traffic(), name) != value for name, value in EACH.items())


async def test_no_request_fails_while_each_live_setting_changes_and_changes_back(calling: Calling) -> None:
    """One by one, for all upstreams and for one, then all at once; requests are under way all the time."""
    async with service("a") as a, service("b") as b, calling(a, b) as caller, caller.load():
        await caller.more(20)
        for name, value in EACH.items():
            needed = {"timeout": 30} if name == "per_try_timeout" else {}
            await caller.override({"traffic": {**needed, name: value}})
            await caller.override({"upstreams": {"orders": {"traffic": {**needed, name: value}}}})
        everything = {
            "traffic": EACH,
            "versions": {"policy": "latest"},
            "upstreams": {"orders": {"paths": [{"prefix": "/", "timeout": 9, "per_try_timeout": 5}]}},
        }
        await caller.override(everything)
        await caller.override({"traffic": {"balance": "ring_hash", "hash_header": "x-user"}})
        await caller.override({})
        assert caller.failed == {}
        assert caller.sent > 500


async def test_instances_come_and_go_under_load_with_active_checks_on(calling: Calling) -> None:
    """A lone instance is replaced by another at once: the new one is asked before its first check was answered
    rather than nobody; one that leaves Consul leaves though it still answers its checks."""
    checks = {name: value for name, value in EACH.items() if name.startswith("check_")}
    async with (
        service("a") as a,
        service("b") as b,
        service("c") as c,
        calling(a, traffic=checks) as caller,
        caller.load(),
    ):
        await caller.more(20)
        for ports in ((b,), (a, b), (c,), (a, b, c), (a,)):
            caller.catalog.set(caller.instances(*ports))
            await caller.in_force()
            await caller.more(20)
            wanted = {f"200 {name}" for name, port in {"a": a, "b": b, "c": c}.items() if port in ports}
            await until(lambda caller=caller, wanted=wanted: _now(caller, wanted))
        assert caller.failed == {}


async def _now(caller: Caller, wanted: set[str]) -> bool:
    """Whether requests reach these instances and no others any more."""
    before = Counter(caller.seen)
    await caller.more(30)
    return set(caller.seen - before) == wanted


async def test_a_live_change_is_in_force_at_once_and_its_removal_too(calling: Calling) -> None:
    """A timeout for one path of one upstream, while the rest goes on as it was."""
    paths = [{"prefix": "/quick", "timeout": 0.01}]
    async with service("a") as a, calling(a) as caller, aiohttp.ClientSession() as session:

        async def status(path: str) -> int:
            async with session.get(f"http://orders{path}", proxy=caller.url) as answer:
                return answer.status

        assert [await status("/quick"), await status("/other")] == [200, 200]
        caller.settings.set(
            live.override(caller.base, json.dumps({"upstreams": {"orders": {"paths": paths}}}).encode())
        )
        await caller.in_force()
        # No answer at all: an Envoy that wakes late finds one beside the time that is over, and may take it.
        assert [await status("/quick/never"), await status("/other")] == [504, 200]
        caller.settings.set(caller.base)
        await caller.in_force()
        assert [await status("/quick"), await status("/other")] == [200, 200]


async def test_what_waits_and_what_is_under_way_survives_a_change_of_its_upstream(calling: Calling) -> None:
    """One connection: a long answer is on it, others wait for it, and meanwhile everything of the upstream changes."""
    word = asyncio.Event()
    async with (
        service("a", word) as a,
        calling(a, traffic={"max_connections": 1, "max_pending": 50}) as caller,
        aiohttp.ClientSession() as session,
    ):

        async def text(path: str) -> str:
            async with session.post(f"http://orders{path}", proxy=caller.url) as answer:
                return f"{answer.status} {await answer.text()}"

        long = asyncio.create_task(text("/long"))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(text("/")) for _ in range(20)]
        await until(lambda: _pending(caller))
        for documents in ({"traffic": {"connect_timeout": 3}}, {"traffic": EACH}, {}):
            caller.settings.set(live.override(caller.base, json.dumps(documents).encode()))
            await caller.in_force()
        assert not long.done(), "it was under way all the time"
        word.set()
        assert re.fullmatch("200 x+y", await long)
        assert await asyncio.gather(*waiting) == ["200 a"] * 20


async def _pending(caller: Caller) -> bool:
    """Whether requests wait for the connection; each of Envoy's workers may have one."""
    text = await EnvoyAdmin(caller.agent.folder / "a.sock").metrics()
    found = re.search(r'upstream_rq_pending_active\{envoy_cluster_name="upstream_orders"\} (\d+)', text)
    return found is not None and int(found[1]) > 3


async def test_a_change_does_not_send_requests_to_an_instance_that_failed_its_checks(
    calling: Calling,
) -> None:
    """The changed upstream takes over only once it has checked its instances itself."""
    checks = {"check_path": "/health", "check_interval": 0.2, "check_timeout": 5, "check_failures": 5}
    with deaf() as nobody:
        async with (
            service("a") as a,
            calling(a, nobody, traffic={**checks, "connect_timeout": 0.2}) as caller,
            caller.load(),
        ):
            await caller.more(50)
            for number in range(3):
                await caller.override({"traffic": {"max_requests": 500 + number}})
            assert caller.failed == {}
