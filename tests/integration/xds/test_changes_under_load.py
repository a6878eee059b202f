"""Random changes of everything at once, under load on the real Envoy: what stays good never fails.

A story is told by its seed: always the same one, or that which PILLION_SEED sets; PILLION_CHANGES says how many
changes it has.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from agent.config.sections.traffic import Upstream
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer, Version
from agent.proxy import assets
from agent.proxy.metrics import Metrics
from agent.proxy.planner import Memo, plan, plan_gateway
from agent.proxy.planning import Planning
from agent.proxy.snapshot import Snapshot
from agent.runtime.latest import Latest
from tests.integration.proxy_plan.rig import settings as made
from tests.integration.xds.rig import Agent, Envoy, Hammer, backend, cluster, end, listener, occupied, port_of
from tests.waiting import until

CHANGES = int(os.environ.get("PILLION_CHANGES", "60"))
V1, V2 = Version(1), Version(2)
OTHERS = ("alpha", "beta", "gamma", "zeta")
FRAGMENTS = assets.load()


def _bad_cluster(one: Snapshot) -> Snapshot:
    ring = {"minimum_ring_size": 1024, "maximum_ring_size": 2}
    bad = cluster("bad", lb_policy="RING_HASH", ring_hash_lb_config=ring)
    endpoints = {**one.endpoints, "bad": {"cluster_name": "bad"}}
    return Snapshot({**one.clusters, "bad": bad}, endpoints, one.listeners, one.routes)


def _bad_route(one: Snapshot) -> Snapshot:
    name, routes = next((name, routes) for name, routes in one.routes.items() if name != "inbound")
    hosts = [*routes["virtual_hosts"], {"name": "twice", "domains": ["*"], "routes": []}]
    return Snapshot(
        one.clusters, one.endpoints, one.listeners, {**one.routes, name: {**routes, "virtual_hosts": hosts}}
    )


def _bad_endpoint(one: Snapshot) -> Snapshot:
    nowhere = {"socket_address": {"address": "no.address", "port_value": 1}}
    bad = {"cluster_name": "bad", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": nowhere}}]}]}
    clusters = {**one.clusters, "bad": cluster("bad")}
    return Snapshot(clusters, {**one.endpoints, "bad": bad}, one.listeners, one.routes)


def _bad_listener(port: int, one: Snapshot) -> Snapshot:
    bad = listener("bad", port, next(iter(one.routes)), enable_reuse_port=False)
    return Snapshot(one.clusters, one.endpoints, {**one.listeners, "bad": bad}, one.routes)


@dataclass
class Story:
    """Everything that changes, and the agent that follows it."""

    agent: Agent
    random: random.Random
    ports: list[int]
    """Of backends that live as long as the story."""
    taken: int
    """A port that Envoy can't have."""
    gateway: bool
    settings: Latest[Settings]
    catalog: Latest[Catalog] = field(default_factory=lambda: Latest(Catalog()))
    spoil: Callable[[Snapshot], Snapshot] | None = None
    told: list[str] = field(default_factory=list)
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    def steady(self) -> Service:
        """The service under load: two instances that serve v1 for ever, and a few that come and go."""
        good = [self.instance(port, (V1,) if n else (V1, V2)) for n, port in enumerate(self.ports[:2])]
        guests = [
            self.instance(port, self.random.choice([(V1,), (V2,), (V1, V2)]))
            for port in self.random.sample(self.ports[2:5], self.random.randint(0, 3))
        ]
        return Service("steady", tuple(sorted([*good, *guests], key=lambda one: one.id)))

    def instance(self, port: int, versions: tuple[Version, ...] = ()) -> Instance:
        """The instance of one backend."""
        zone = ("b", "", "a", "b", "")[self.ports.index(port) % 5]  # an instance does not move
        return Instance(f"i-{port}", Address("127.0.0.1", port), Offer(versions), zone)

    def begin(self) -> None:
        """Plan and deliver from now on, as a new agent with the files of the last one."""
        make = partial(plan_gateway if self.gateway else plan, memo=Memo())

        def planned(catalog: Catalog, settings: Settings) -> Snapshot:
            found = make(settings, catalog, FRAGMENTS)
            return self.spoil(found) if self.spoil else found

        self.agent = Agent(self.agent.folder, retry_interval=0.5, patience=1.0)
        planning = Planning(
            planned, self.catalog, self.settings, self.agent.snapshots,
            health=self.agent.board.of("planning"), metrics=Metrics(CollectorRegistry()),
        )  # fmt: skip
        self.tasks = [asyncio.create_task(planning.run(lambda: None)), self.agent.start()]

    async def stop(self) -> None:
        """End the agent."""
        for task in self.tasks:
            await end(task)

    async def change(self) -> None:
        """One change of something."""
        what = self.random.choice(
            [
                self._services,
                self._services,
                self._instances,
                self._instances,
                self._override,
                self._spoil,
                self._restart,
            ]
        )
        self.told.append(what.__name__)
        await what()

    async def _services(self) -> None:
        services = dict(self.catalog.value.services)
        for name in self.random.sample(OTHERS, self.random.randint(1, 3)):
            if services.pop(name, None) is None:
                versions = self.random.choice([(), (V1,), (V1, V2)])
                one = self.instance(self.random.choice(self.ports), versions)
                routes = self.random.choice([(), (f"/{name}",), ("/both",), ("/api/{version}/" + name,)])
                services[name] = Service(name, (one,), routes)
        self.catalog.set(replace(self.catalog.value, services=services))

    async def _instances(self) -> None:
        services = {**self.catalog.value.services, "steady": self.steady()}
        self.catalog.set(replace(self.catalog.value, services=services))

    async def _override(self) -> None:
        traffic: dict[str, str | int | float] = {
            "connect_timeout": self.random.choice([1, 2, 3]),
            "balance": self.random.choice(["least_request", "round_robin"]),
            "retries": self.random.choice([0, 1, 2]),
            "ejection_failures": self.random.choice([0, 5]),
            "max_connections": self.random.choice([512, 1024]),
        }
        upstreams = {"*": Upstream(), "steady": Upstream(traffic=traffic)}
        self.settings.set(msgspec.structs.replace(self.settings.value, upstreams=upstreams))

    async def _spoil(self) -> None:
        bad = [None, _bad_cluster, _bad_route, _bad_endpoint, partial(_bad_listener, self.taken)]
        self.spoil = self.random.choice(bad)
        await self._instances()

    async def _restart(self) -> None:
        await self.stop()
        self.begin()
        if self.random.random() < 0.5:
            await self.agent.revision.until(lambda revision: revision.connected)

    async def whole(self) -> None:
        """Let everything be good, and wait until Envoy has it."""
        self.spoil = None
        await self._override()
        await self._instances()
        await until(self.in_force, within=60)

    def in_force(self) -> bool:
        """Whether Envoy has all of it."""
        make = plan_gateway if self.gateway else plan
        wanted = make(self.settings.value, self.catalog.value, FRAGMENTS).hash
        assert self.agent.revision.value.in_force == wanted, (
            wanted,
            self.agent.revision.value,
            self.agent.board.reports,
        )
        return True


@asynccontextmanager
async def telling(agent: Agent, gateway: bool, seed: int) -> AsyncIterator[Story]:
    """A story with its backends, begun and in force."""
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(backend("one")) for _ in range(6)]
        taken = port_of(await stack.enter_async_context(occupied()))
        chosen = made({"service": {"name": "front", "port": ports[5], "zone": "a"}})
        story = Story(agent, random.Random(seed), ports, taken, gateway, Latest(chosen))
        story.catalog.set(Catalog({"steady": story.steady()}, known=True))
        story.begin()
        try:
            yield story
        finally:
            await story.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("gateway", [False, True], ids=["sidecar", "gateway"])
async def test_no_request_fails_while_everything_changes(agent: Agent, envoy: Envoy, gateway: bool) -> None:
    seed = int(os.environ.get("PILLION_SEED", "11"))
    async with telling(agent, gateway, seed) as story:
        envoy.start()
        await story.whole()
        async with AsyncExitStack() as stack:
            loads = [await stack.enter_async_context(load.going(2)) for load in _loads(story)]
            for _ in range(CHANGES):
                await story.change()
                await asyncio.sleep(story.random.choice([0, 0.005, 0.03, 0.1]))
            await story.whole()
        failed = {f"{load.url} {what}": times for load in loads for what, times in load.failed.items()}
        assert failed == {}, f"seed {seed}: {' '.join(story.told)}"
        assert all(load.seen["200"] > CHANGES for load in loads), seed


def _loads(story: Story) -> list[Hammer]:
    chosen = story.settings.value
    if story.gateway:
        return [Hammer(f"http://{chosen.gateway.listen}", ["/steady/x", "/steady/api/v1/x"])]
    return [
        Hammer(f"http://{chosen.proxy.outbound}", ["/x", "/api/v1/x"], {"host": "steady"}),
        Hammer(f"http://{chosen.proxy.inbound}", ["/x"]),
    ]
