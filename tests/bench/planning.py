"""From a change in Consul to an Envoy that acts on it: how long, and what it costs.

Run as `make bench-planning`, on real Consul, Envoy and agents; PARTS in the environment chooses some of plan, change,
churn, memory. The table goes to standard output, the figures to build/bench-planning.json.
"""

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from agent.config.settings import Settings
from agent.demo import backing
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer, Version
from agent.proxy import assets
from agent.proxy.planner import Memo, plan
from agent.proxy.xds.encode import Encoded, Encoder
from tests.acceptance import instance as acceptance
from tests.bench.footprint import cpu, memory, settle
from tests.waiting import until

INSTANCES = 10
CHANGES = int(os.environ.get("CHANGES", "200"))
RATE, SECONDS = 200, float(os.environ.get("SECONDS", "30"))
UNDER_WAY = 200
"""Changes that Consul has not answered yet, at most."""
PARTS = (os.environ.get("PARTS") or "plan,change,churn,memory").split(",")
REPORT = Path("build/bench-planning.json")


@dataclass
class Figures:
    """What was measured, with the figure to reach; printed as it comes."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    report: Path = REPORT

    def note(self, what: str, value: float, unit: str, target: float | None = None) -> None:
        """One figure; ``target`` is the most that it may be."""
        met = None if target is None else value <= target
        self.rows.append({"what": what, "value": round(value, 3), "unit": unit, "target": target, "met": met})
        wanted = "" if target is None else f"  (at most {target:g}: {'met' if met else 'MISSED'})"
        sys.stdout.write(f"  {what:<66}{value:9.2f} {unit}{wanted}\n")
        sys.stdout.flush()

    def write(self) -> None:
        """Keep them as JSON, with how busy the machine was."""
        self.report.parent.mkdir(exist_ok=True)
        about = {"load": os.getloadavg(), "cores": os.cpu_count(), "figures": self.rows}
        self.report.write_text(json.dumps(about, indent=1) + "\n")
        sys.stdout.write(
            f"load average now {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores; {self.report}\n"
        )


def names(count: int) -> list[str]:
    """Names of services."""
    return [f"s-{number:04}" for number in range(count)]


def catalog(count: int) -> Catalog:
    """So many services with ten instances each."""
    return Catalog(
        {
            name: Service(name, tuple(_instance(name, number, at) for at in range(INSTANCES)))
            for number, name in enumerate(names(count))
        },
        known=True,
    )


def _instance(name: str, number: int, at: int, offer: Offer | None = None, port: int = 15006) -> Instance:
    where = Address(f"10.{number // 250}.{number % 250}.{at + 1}", port)
    return Instance(f"{name}-{at}", where, offer or Offer())


def planning(figures: Figures) -> None:
    """Planning and encoding without anything around it, in this process."""
    count = 1000
    settings = msgspec.convert(
        {"service": {"name": "front", "port": 1}, "upstreams": {name: {} for name in names(count)}}, Settings
    )
    fragments, known = assets.load(), catalog(count)
    Encoder().encode(plan(settings, catalog(2), fragments))  # types are loaded once in an agent's life
    colds = []
    for _ in range(3):
        memo, encoder = Memo(), Encoder()
        colds.append(
            _timed(
                lambda memo=memo, encoder=encoder: encoder.encode(plan(settings, known, fragments, (), memo))
            )
        )
    figures.note("1,000 services x 10: plan and encode all, cold (CPU)", min(colds), "ms", 1000)

    def turn(change: Callable[[int, Service], Service]) -> list[float]:
        found, now = [], known
        for number in range(100):
            name = names(count)[number * 7 % count]
            services = {**now.services, name: change(number, now.services[name])}
            now = replace(now, services=services)
            found.append(
                _timed(lambda now=now: _encoded(encoder.encode(plan(settings, now, fragments, (), memo))))
            )
        return sorted(found)

    times = turn(lambda turn, one: replace(one, instances=(*one.instances[:-1], _moved(one, turn))))
    figures.note("1,000 services x 10: one instance changed, p50 (CPU)", times[50], "ms", 5)
    figures.note("1,000 services x 10: one instance changed, p99 (CPU)", times[98], "ms")
    versions = Offer((Version(1), Version(2)))
    times = turn(lambda turn, one: replace(one, instances=(*one.instances[:-1], _moved(one, turn, versions))))
    figures.note("1,000 services x 10: one service gets versions (routes change), p50 (CPU)", times[50], "ms")


def _moved(one: Service, turn: int, offer: Offer | None = None) -> Instance:
    return _instance(one.name, turn, 200, offer, 20000 + turn)


def _timed(act: Callable[[], object]) -> float:
    """Milliseconds of CPU: what others do on the machine counts less than by the clock."""
    began = time.process_time()
    act()
    return (time.process_time() - began) * 1000


def _encoded(found: object) -> None:
    assert isinstance(found, Encoded), found


class Registry:
    """Registers instances in Consul's catalogue, ten nodes with one of each service."""

    def __init__(self, consul: backing.Consul, session: aiohttp.ClientSession) -> None:
        self._url = consul.url
        self._session = session
        self.ports: dict[tuple[str, int], int] = {}
        """By service and node: where the instance is."""

    async def fill(self, services: Iterable[str]) -> None:
        """Register ten instances of each."""
        limit = asyncio.Semaphore(8)

        async def one(name: str, at: int) -> None:
            async with limit:
                await self.put(name, at, 20000)

        await asyncio.gather(*(one(name, at) for name in services for at in range(INSTANCES)))

    async def put(self, name: str, at: int, port: int) -> None:
        """Register one instance, or put one on another port in its place."""
        identity = f"{name}-{at}-{port}"
        body = {
            "Node": f"node-{at}",
            "Address": f"10.0.0.{at + 1}",
            "SkipNodeUpdate": (name, at) in self.ports,
            "Service": {"ID": identity, "Service": name, "Address": f"10.0.0.{at + 1}", "Port": port},
            "Check": {
                "CheckID": f"service:{identity}",
                "Name": "ttl",
                "ServiceID": identity,
                "Status": "passing",
                "Output": str(port),
            },
        }
        async with self._session.put(f"{self._url}/v1/catalog/register", json=body) as response:
            assert response.status == 200, await response.text()
        former = self.ports.get((name, at))
        self.ports[name, at] = port
        if former is not None:
            gone = {"Node": f"node-{at}", "ServiceID": f"{name}-{at}-{former}"}
            async with self._session.put(f"{self._url}/v1/catalog/deregister", json=gone) as response:
                assert response.status == 200, await response.text()


class View:
    """What an Envoy says of its clusters, by its own admin API."""

    def __init__(self, socket: Path) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)))

    async def close(self) -> None:
        """Let go of the connection."""
        await self._session.close()

    async def has(self, name: str, at: int, port: int) -> bool:
        """Whether an instance is among the hosts of its service."""
        return f"::10.0.0.{at + 1}:{port}::" in await self._clusters(f"^upstream_{name}$")

    async def equals(self, ports: dict[tuple[str, int], int]) -> bool:
        """Whether it has all instances where they are."""
        text = await self._clusters("^upstream_")
        return all(
            f"upstream_{name}::10.0.0.{at + 1}:{port}::cx_active" in text
            for (name, at), port in ports.items()
        )

    async def _clusters(self, pattern: str) -> str:
        async with self._session.get("http://envoy/clusters", params={"filter": pattern}) as response:
            return await response.text()


@asynccontextmanager
async def running(
    folder: Path, consul: backing.Consul, upstreams: list[str]
) -> AsyncIterator[tuple[acceptance.Instance, View]]:
    """An agent beside nothing, with its Envoy."""
    settings = {
        "service": {"name": "front", "port": 0, "register": False},
        "registry": {"address": consul.url, "spread": 0},
        "proxy": {"drain_time": 0, "envoy": backing.binary("envoy")},
        **({"upstreams": upstreams} if upstreams else {}),
    }
    agent = acceptance.Instance(folder, settings).start()
    try:
        await agent.ready(60)
        view = View(folder / "state" / "admin.sock")
        try:
            yield agent, view
        finally:
            await view.close()
    finally:
        agent.stop()


async def changing(figures: Figures, registry: Registry, view: View) -> None:
    """One change after the other, each seen in Envoy."""
    times = []
    for turn in range(CHANGES):
        name, at = f"s-{random.randrange(100):04}", random.randrange(INSTANCES)
        await asyncio.sleep(random.uniform(0.05, 0.15))
        began = time.perf_counter()
        await registry.put(name, at, 21000 + turn)
        await until(partial(view.has, name, at, 21000 + turn), within=60, every=0.002)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    figures.note(
        "100 services x 10: change in Consul to active in Envoy, p50", statistics.median(times), "ms", 100
    )
    figures.note(
        "100 services x 10: change in Consul to active in Envoy, p99",
        times[int(len(times) * 0.99) - 1],
        "ms",
        250,
    )


async def churning(figures: Figures, registry: Registry, view: View, agent: int) -> None:
    """Many changes a second for a while, then the last state."""
    began, used, number = time.perf_counter(), cpu(agent), 0
    pending: set[asyncio.Task[None]] = set()
    busy: set[tuple[str, int]] = set()

    async def one(where: tuple[str, int], port: int) -> None:
        await registry.put(*where, port)
        busy.discard(where)

    while (passed := time.perf_counter() - began) < SECONDS:
        # A Consul that is slower gets as many as it takes: with every instance under way none is left to be changed.
        while number < passed * RATE and len(busy) < UNDER_WAY:
            where = f"s-{random.randrange(100):04}", random.randrange(INSTANCES)
            if where in busy:
                continue
            busy.add(where)
            task = asyncio.create_task(one(where, 30000 + number))
            pending.add(task)
            task.add_done_callback(pending.discard)
            number += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*pending)
    last = time.perf_counter()
    used = (cpu(agent) - used) / (last - began) * 100
    await until(lambda: view.equals(registry.ports), within=60, every=0.05)
    figures.note("changes a second that Consul took", number / (last - began), "/s")
    figures.note("after them: last state active in Envoy", (time.perf_counter() - last) * 1000, "ms", 1000)
    figures.note("the agent's CPU meanwhile", used, "% of a core")


async def resting(figures: Figures, agent: int, what: str, most: float) -> None:
    """Memory and CPU of an agent that has nothing to do."""
    await asyncio.to_thread(settle, agent)
    before = cpu(agent)
    await asyncio.sleep(30)
    figures.note(f"{what}: the agent's memory", memory(agent), "MB", most)
    figures.note(f"{what}: the agent's CPU when idle", (cpu(agent) - before) / 30 * 100, "% of a core", 0.5)


async def mesh(figures: Figures, folder: Path, count: int, *, changes: bool, most: float | None) -> None:
    """So many services of ten instances in a Consul, and an agent that follows them."""
    consul = backing.Consul(folder / "consul")
    consul.start()
    try:
        async with aiohttp.ClientSession() as session:
            registry = Registry(consul, session)
            await registry.fill(names(count))
            async with running(folder / "front", consul, names(count)) as (agent, view):
                for name in names(count)[
                    :: max(1, count // 20)
                ]:  # all of them at once would be 20 MB of text
                    await until(partial(view.has, name, 0, 20000), within=120, every=0.2)
                pid = agent.children()["agent"]
                if most is not None:
                    await resting(figures, pid, f"{count:,} services x 10", most)
                if changes and "change" in PARTS:
                    await changing(figures, registry, view)
                if changes and "churn" in PARTS:
                    await churning(figures, registry, view, pid)
                    figures.note(f"{count:,} services x 10: the agent's memory after them", memory(pid), "MB")
    finally:
        consul.stop()


def main() -> None:
    """Measure all parts that are asked for."""
    figures = Figures()
    sys.stdout.write(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores\n")
    if "plan" in PARTS:
        planning(figures)
    with tempfile.TemporaryDirectory(prefix="pb-") as name:
        folder = Path(name)
        if "change" in PARTS or "churn" in PARTS:
            asyncio.run(mesh(figures, folder / "100", 100, changes=True, most=None))
        if "memory" in PARTS:
            asyncio.run(mesh(figures, folder / "10", 10, changes=False, most=65))
            asyncio.run(mesh(figures, folder / "1000", 1000, changes=False, most=80))
    figures.write()


if __name__ == "__main__":
    main()
