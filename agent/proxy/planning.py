"""Planning: the newest catalogue and settings become the newest snapshot."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from agent.model.catalog import Catalog
from agent.proxy.metrics import Metrics
from agent.proxy.snapshot import Snapshot
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

S = TypeVar("S")


class Planning(Generic[S]):
    """Plans on each change, merging bursts.

    After a change it waits until nothing changed for ``quiet`` seconds, at most ``most``.

    ``plan`` is pure. One that raises is reported as degraded and the former snapshot stays. While the
    catalogue is None (nothing is known yet) nothing is planned, so that Envoy keeps what it has.
    """

    name = "planning"
    stop_budget = 1.0

    def __init__(
        self,
        plan: Callable[[Catalog, S], Snapshot],
        catalog: Latest[Catalog] | Latest[Catalog | None],
        settings: Latest[S],
        snapshots: Latest[Snapshot | None],
        *,
        health: Health,
        metrics: Metrics,
        quiet: float = 0.02,
        most: float = 0.2,
        besides: Sequence[Latest[Any]] = (),
    ) -> None:
        """``besides`` is what else ``plan`` looks at."""
        self._plan = plan
        self._catalog = catalog
        self._seen = (catalog, settings, *besides)
        self._settings = settings
        self._snapshots = snapshots
        self._health = health
        self._metrics = metrics
        self._quiet = quiet
        self._most = most

    async def run(self, ready: Ready) -> None:
        """Plan what is there, then on every change; ready after the first turn, whatever came of it."""
        while True:
            seen = self._versions()
            self.turn()
            ready()
            await self._changed(seen)
            await self._calm()

    def turn(self) -> None:
        """Plan once from the present values."""
        catalog = self._catalog.value
        if catalog is None:
            self._health.degraded("Nothing is known of the registry yet; Envoy keeps what it has.")
            return
        try:
            with self._metrics.plans.time():
                snapshot = self._plan(catalog, self._settings.value)
        except Exception as error:
            self._metrics.plan_failures.inc()
            log.exception("plan.failed")
            self._health.degraded(
                f"Planning failed ({type(error).__name__}: {error}); the former configuration stays in force."
            )
            return
        self._snapshots.set(snapshot)
        self._health.ok()

    def _versions(self) -> tuple[int, ...]:
        return tuple(cell.version for cell in self._seen)

    async def _changed(self, seen: tuple[int, ...]) -> None:
        waits = [
            asyncio.create_task(cell.changed(version), name="planning: change")
            for cell, version in zip(self._seen, seen, strict=True)
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _calm(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._most
        while (left := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(self._quiet, left)):
                    await self._changed(self._versions())
            except TimeoutError:
                return
