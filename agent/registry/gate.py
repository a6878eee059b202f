"""The last word on whether callers may be sent here:

opens when all is well, shuts first when the instance leaves.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.revision import Revision
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

OPEN = Verdict(True, "the service and its Envoy are well")
LEAVING = Verdict(False, "the instance is leaving")
DRAINING = Verdict(False, "the instance was told to drain")
TOLD = 3.0
"""Seconds that a leaving instance waits for Consul to take its last word."""

Cell = Latest[ServiceHealth] | Latest[Revision] | Latest[Registration] | Latest[bool]


def decide(service: ServiceHealth, revision: Revision) -> Verdict:
    """Passing while the service answers and Envoy has an accepted configuration in force. Pure."""
    if not service.healthy:
        return Verdict(False, service.detail)
    if not revision.connected:
        return Verdict(False, "Envoy is not connected to its agent")
    if not revision.serving:
        return Verdict(False, "Envoy has not accepted any configuration yet")
    return OPEN


class Gate:
    """Writes the verdict that the registrar tells Consul; ready when it opened for the first time.

    Before it opened it stays silent for ``patience`` seconds, unless the service was well and no longer is:
    an agent that restarts beside a well service has to find that out first, and must not speak against it
    meanwhile.
    """

    name = "gate"

    def __init__(
        self,
        *,
        verdicts: Latest[Verdict],
        service: Latest[ServiceHealth],
        revision: Latest[Revision],
        registration: Latest[Registration],
        leaving: Latest[bool],
        draining: Latest[bool],
        drain: Callable[[], Awaitable[None]],
        health: Health,
        patience: float,
        spread: float,
        drain_within: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``draining`` turns true when an operator takes the instance out of traffic before it leaves.

        ``patience`` is the check's TTL, ``spread`` is ``registry.spread``; ``drain`` ends within ``drain_within`` s.
        """
        self._verdicts = verdicts
        self._service = service
        self._revision = revision
        self._registration = registration
        self._leaving = leaving
        self._draining = draining
        self._drain = drain
        self._health = health
        self._patience = patience
        self._spread = spread
        self._drain_within = drain_within
        self._clock = clock
        self._opened = False
        self._well = False
        """The service has answered since this agent started."""
        self.stop_budget = TOLD + spread + drain_within + 1.0

    async def run(self, ready: Ready) -> None:
        """Follow the cells until cancelled; when the instance leaves, shut, let it spread, drain."""
        news = asyncio.Event()
        silent_until = self._clock() + self._patience
        try:
            async with asyncio.TaskGroup() as group:
                for cell in (self._service, self._revision, self._registration, self._draining):
                    group.create_task(_ring(cell, cell.version, news), name="gate:news")
                while True:
                    left = silent_until - self._clock()
                    self._turn(ready, silent=left > 0)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(left if left > 0 else None):
                            await news.wait()
                    news.clear()
        except asyncio.CancelledError:
            if self._leaving.value:
                await self._leave()
            self._health.stopped()
            raise

    def _turn(self, ready: Ready, *, silent: bool) -> None:
        if self._draining.value:
            self._say(DRAINING)
            return
        verdict = decide(self._service.value, self._revision.value)
        self._well = self._well or self._service.value.healthy
        if not self._opened:
            if verdict.passing and not self._registration.value.registered:
                self._health.degraded(
                    self._registration.value.problem or "waiting for the registration in Consul"
                )
                return
            if not verdict.passing and silent and not (self._well and not self._service.value.healthy):
                self._health.degraded(verdict.note)
                return
        self._say(verdict)
        if verdict.passing and not self._opened:
            self._opened = True
            ready()

    def _say(self, verdict: Verdict) -> None:
        if verdict != self._verdicts.value:
            if verdict.passing:
                log.info("gate.open", note=verdict.note)
            elif verdict in (LEAVING, DRAINING):
                log.info("gate.shut", note=verdict.note)
            else:
                log.warning("gate.shut", note=verdict.note)
        self._verdicts.set(verdict)
        if verdict.passing:
            self._health.ok()
        else:
            self._health.degraded(verdict.note)

    async def _leave(self) -> None:
        self._say(LEAVING)
        if await self._told():
            # Callers' agents hear of it within moments; until then they still send requests here.
            await asyncio.sleep(self._spread)
        try:
            async with asyncio.timeout(self._drain_within):
                await self._drain()
        except TimeoutError:
            log.warning("gate.drain_unfinished", seconds=self._drain_within)

    async def _told(self) -> bool:
        """Whether anybody could hear the last word:
        False when Consul knows nothing of us or can't be reached.
        """
        if not self._registration.value.registered:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD):
                await self._registration.until(lambda state: state.told == LEAVING or not state.registered)
        return self._registration.value.told == LEAVING


async def _ring(cell: Cell, version: int, news: asyncio.Event) -> None:
    while True:
        version = await cell.changed(version)
        news.set()
