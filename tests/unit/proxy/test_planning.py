"""Planning, without a clock that is waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry

from agent.model.catalog import Catalog, Service
from agent.proxy.metrics import Metrics
from agent.proxy.planning import Planning
from agent.proxy.snapshot import Snapshot
from agent.runtime.health import Board, State
from agent.runtime.latest import Latest
from tests.waiting import until


class Rig:
    """A planning with cells, whose plan names the services and the settings."""

    def __init__(self, catalog: Catalog | None = None, quiet: float = 0.001, most: float = 0.005) -> None:
        self.catalog: Latest[Catalog | None] = Latest(catalog)
        self.settings = Latest("s1")
        self.snapshots: Latest[Snapshot | None] = Latest(None)
        self.board = Board(lambda: 0.0)
        self.plans: list[str] = []
        self.planning: Planning[str] = Planning(
            self.plan,
            self.catalog,
            self.settings,
            self.snapshots,
            health=self.board.of("planning"),
            metrics=Metrics(CollectorRegistry()),
            quiet=quiet,
            most=most,
        )

    def plan(self, catalog: Catalog, settings: str) -> Snapshot:
        """One cluster for each service."""
        self.plans.append(settings)
        if "broken" in catalog.services:
            raise ValueError("what a mess")
        return Snapshot({name: {"name": name, "alt_stat_name": settings} for name in catalog.services})

    def names(self, *services: str) -> None:
        """Set the catalogue."""
        self.catalog.set(Catalog({name: Service(name, ()) for name in services}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Event"]:
        """Run until the block ends."""
        ready = asyncio.Event()
        task = asyncio.create_task(self.planning.run(ready.set))
        try:
            yield ready
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def planned(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """Wait for such a snapshot."""
        found = await self.snapshots.until(lambda one: one is not None and condition(one))
        assert found is not None
        return found


async def test_it_is_ready_with_the_first_plan_and_follows_catalogue_and_settings() -> None:
    rig = Rig(Catalog())
    async with asyncio.timeout(60), rig.running() as ready:
        await ready.wait()
        assert rig.snapshots.value == Snapshot()
        rig.names("a")
        await rig.planned(lambda one: "a" in one.clusters)
        rig.settings.set("s2")
        await rig.planned(lambda one: one.clusters["a"]["alt_stat_name"] == "s2")


async def test_nothing_is_planned_while_nothing_is_known() -> None:
    rig = Rig(None)
    async with asyncio.timeout(60), rig.running() as ready:
        await ready.wait()
        assert rig.snapshots.value is None
        assert rig.plans == []
        rig.names("a")
        await rig.planned(lambda one: "a" in one.clusters)


async def test_a_plan_that_fails_leaves_the_former_snapshot_and_says_so() -> None:
    rig = Rig(Catalog())
    async with asyncio.timeout(60), rig.running() as ready:
        await ready.wait()
        rig.names("a")
        good = await rig.planned(lambda one: "a" in one.clusters)
        rig.names("broken")
        await until(lambda: rig.board.reports["planning"].state is State.DEGRADED, every=0)
        assert "what a mess" in rig.board.reports["planning"].detail
        assert rig.snapshots.value == good
        rig.names("b")
        await rig.planned(lambda one: "b" in one.clusters)
        assert rig.board.reports["planning"].state is State.OK


async def test_a_burst_of_changes_is_one_plan() -> None:
    rig = Rig(Catalog(), quiet=0.1, most=10.0)
    async with asyncio.timeout(60), rig.running() as ready:
        await ready.wait()
        for number in range(50):
            rig.names(f"s{number}")
            await asyncio.sleep(0)
        await rig.planned(lambda one: "s49" in one.clusters)
        assert len(rig.plans) <= 5
