"""Removes from the catalogue what dead pods left there: nothing else does in ``registry.mode: catalog``."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from agent.registry import remains, virtual
from agent.registry.client import Client
from agent.registry.metrics import Sweeps
from agent.registry.remains import Remains
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError, Transient
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

MOST = 200
"""Removals in one look: a mistake is not to empty the catalogue before anybody sees it."""
PAUSE = 0.02
"""Seconds between two removals; each is a write of Consul's servers."""


class Pods(Protocol):
    """The pods of the cluster, as the sweep needs them."""

    async def living(self) -> frozenset[str]:
        """The uids of all pods in all namespaces that have not ended (phase neither Succeeded nor Failed).

        A pod on a lost node stays in Kubernetes, told to end and never seen to: whether that is a life is the
        implementer's to say.

        Asked of the API server itself, not of a cache that may be behind: an instance whose pod it lacks is
        removed. Raises Transient when that can't be known now, never returns a part.
        """


class Sweep:
    """Looks at the virtual nodes of one cluster while this process leads.

    An instance goes when two looks in a row found its pod dead, a node when two found it empty. A look that
    fails, or a list of pods that can't be true, removes nothing and begins anew.
    """

    name = "sweep"
    stop_budget = 2.0

    def __init__(
        self,
        client: Client,
        pods: Pods,
        leads: Latest[bool],
        *,
        cluster: str,
        own: str,
        health: Health,
        metrics: Sweeps,
        interval: float = 20.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``cluster`` as ``kubernetes.cluster``; ``own`` is this pod's uid, empty where it is not
        known; ``interval`` in seconds; ``wall`` is the clock of the metric."""
        self._client = client
        self._pods = pods
        self._leads = leads
        self._cluster = cluster
        self._own = own
        self._health = health
        self._metrics = metrics
        self._wall = wall
        self._interval = interval
        self._before = Remains()
        self._backoff = Backoff(min(1.0, interval), interval)

    async def run(self, ready: Ready) -> None:
        """Look after look, until cancelled."""
        ready()
        try:
            while True:
                version = self._leads.version
                pause = await self.turn()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._leads.changed(version)
        finally:
            self._health.stopped()

    async def turn(self) -> float:
        """One look; the seconds until the next."""
        if not self._leads.value:
            self._before = Remains()
            self._metrics.looked.set(0)
            self._health.ok("another one leads")
            return self._interval
        try:
            await self._look()
        except PillionError as error:
            self._before = Remains()
            log.warning("sweep.failed", error=str(error))
            self._health.degraded(f"what dead pods left in Consul is not removed: {error}")
            return self._backoff.next(error.delay if isinstance(error, Transient) else None)
        self._metrics.looked.set(self._wall())
        self._backoff.reset()
        return self._interval

    async def _look(self) -> None:
        # The pods last: whoever registered before lived before, and is on the list if it still does.
        nodes = await self._client.nodes(virtual.expression(self._cluster))
        ours = [str(one.get("Node")) for one in nodes if virtual.is_ours(one, self._cluster)]
        seen = remains.found({name: await self._client.on_node(name) for name in ours})
        living = await self._pods.living()
        if wrong := remains.incredible(seen, living, self._own):
            raise Transient(f"the list of the cluster's pods can't be true: {wrong}")
        now = remains.remains(seen, living)
        due, self._before = now & self._before, now
        await self._remove(due)
        if seen.strangers:
            place = min(seen.strangers)
            others = f"{len(seen.strangers)} instances, such as {_shown(place.instance)} on {place.node}"
            self._health.degraded(
                f"{others}, are on Pillion's nodes and not of its making: they are left alone"
            )
        else:
            self._health.ok()

    async def _remove(self, due: Remains) -> None:
        for place in sorted(due.dead)[:MOST]:
            if not self._leads.value:
                return
            await self._client.strike(place.node, place.instance)
            self._metrics.removed.labels("instance").inc()
            log.info("sweep.removed", node=place.node, instance=_shown(place.instance))
            await asyncio.sleep(PAUSE)
        for node in sorted(due.empty)[:MOST]:
            # A pod may have come to the node meanwhile; one that comes in this very moment registers again.
            if self._leads.value and not await self._client.on_node(node):
                await self._client.strike(node)
                self._metrics.removed.labels("node").inc()
                log.info("sweep.node_removed", node=node)
                await asyncio.sleep(PAUSE)


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:100])
