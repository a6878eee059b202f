"""What the agent remembers of the last hour for its status: lag, changes of configuration, slow operations."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from agent.admin import slow
from agent.admin.lag import Lags
from agent.model.revision import Revision
from agent.model.traffic import Buckets
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest

LOOK = 5.0
"""Seconds between two looks at the relay's lag."""
ASK = 3
"""Every how many looks Envoy is asked for its histograms."""

ENVOY = "Envoy's configuration"
"""The journal's subject of what Envoy took or refused."""


class History:
    """Looks now and then, for all that has no memory of its own; nothing else waits for it.

    Its memory is bounded: an hour of points for at most 20 feeds, 12 slots for each of 250 operations, 25 changes
    of each kind.
    """

    name = "history"
    stop_budget = 1.0

    def __init__(
        self,
        revision: Latest[Revision],
        collectors: CollectorRegistry,
        journal: Journal,
        clock: Callable[[], float],
        *,
        outbox: Callable[[], Awaitable[object]] | None = None,
        durations: Callable[[], Awaitable[Mapping[str, Buckets]]] | None = None,
    ) -> None:
        """``clock`` returns seconds since the epoch; ``durations`` are Envoy's histograms by operation, raising
        Transient while it does not answer; ``outbox`` is the relay's state, feeds with ``role`` and ``lag``.
        """
        self._revision = revision
        self._collectors = collectors
        self._journal = journal
        self._clock = clock
        self._outbox = outbox
        self._durations = durations
        self._lags = Lags()
        self._slowest = slow.Slowest()
        self._begun = False

    async def run(self, ready: Ready) -> None:
        """Look until cancelled; ready at once."""
        ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="history of Envoy's configuration")
            tasks.create_task(self._look(), name="history of lag and durations")

    async def _follow(self) -> None:
        before = self._revision.value
        async for revision in self._revision.values():
            for outcome, detail in news(before, revision):
                self._journal.add(ENVOY, outcome, detail)
            before = revision

    async def _look(self) -> None:
        turn = 0
        while True:
            await self.look()
            if turn % ASK == 0:
                await self.ask()
            turn += 1
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Take in the relay's lag and the agent's own histograms."""
        now = self._clock()
        self._slowest.add(now, slow.own(self._collectors))
        if self._outbox is not None:
            feeds: Any = msgspec.to_builtins(await self._outbox(), str_keys=True)
            self._lags.add(now, {each["feed"]: each["lag"] for each in feeds if each["role"] == "active"})

    async def ask(self) -> None:
        """Take in Envoy's histograms, where it answers."""
        if self._durations is None:
            return
        try:
            found = await self._durations()
        except PillionError:
            return
        if self._begun:
            self._slowest.add(self._clock(), found)
        else:
            self._slowest.begin(found)
            self._begun = True

    def read(self) -> dict[str, Any]:
        """All of it as plain data: ``now``, ``lag``, ``changes``, ``slowest``."""
        now = self._clock()
        return {
            "now": now,
            "lag": self._lags.read(now),
            "changes": [msgspec.to_builtins(entry) for entry in self._journal.newest],
            "slowest": [msgspec.to_builtins(one) for one in self._slowest.read(now)],
        }


def news(before: Revision, after: Revision) -> list[tuple[str, str]]:
    """What became of the configuration between two states of its delivery: outcome and detail of each. Pure."""
    found = [
        ("refused", f"{refusal.type}: {refusal.message}")
        for refusal in after.refusals
        if refusal not in before.refusals
    ]
    if after.in_force and after.in_force != before.in_force:
        found.append(("accepted", f"snapshot {after.in_force[:12]}"))
    return found
