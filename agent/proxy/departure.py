"""Taking an Envoy out of traffic: callers are told to go, then what is in flight ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from agent.runtime.component import Ready
from agent.runtime.errors import Transient
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)


class Drainable(Protocol):
    """What is needed of Envoy; see ``EnvoyAdmin`` for each."""

    async def announce(self) -> None:
        """Tell callers to go."""

    async def drain(self, within: float) -> bool:
        """Wait until what is in flight has ended."""


class Departure:
    """The drain, however it was asked for: by a stop, or by an operator before it.

    ``draining`` is set by an operator's wish and makes the gate shut. ``spread`` and ``within`` are in seconds.
    """

    def __init__(self, envoy: Drainable, draining: Latest[bool], *, spread: float, within: float) -> None:
        self._envoy = envoy
        self._draining = draining
        self._spread = spread
        self._within = within

    async def finish(self) -> None:
        """Drain at the end of a stop; an Envoy that does not answer has nothing in flight."""
        try:
            if not await self._envoy.drain(self._within):
                log.warning("proxy.drain_unfinished", seconds=self._within)
        except Transient as error:
            log.warning("proxy.drain_impossible", error=str(error))

    @property
    def longest(self) -> float:
        """Seconds that ``at_last`` takes at most."""
        return self._spread + self._within

    async def at_last(self) -> None:
        """Leave where nobody told the callers before: not ready, a moment for balancers to see it, then drain."""
        try:
            await self.asked(wait=True)
        except Transient as error:
            log.warning("proxy.drain_impossible", error=str(error))

    async def asked(self, wait: bool) -> bool:
        """Begin to leave; with ``wait``, go on until nothing is in flight: False when time ran out.

        Raises Transient.
        """
        self._draining.set(True)
        await self._envoy.announce()
        if not wait:
            return False
        await asyncio.sleep(self._spread)
        return await self._envoy.drain(self._within)


class LastDrain:
    """For an Envoy that no gate guards: drains it first when the instance leaves. Last in the order of start."""

    name = "drain"

    def __init__(self, leaving: Latest[bool], drain: Callable[[], Awaitable[None]], within: float) -> None:
        self._leaving = leaving
        self._drain = drain
        self.stop_budget = within + 3.0

    async def run(self, ready: Ready) -> None:
        """Wait for the end, and drain at a real one."""
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            if self._leaving.value:
                await self._drain()
