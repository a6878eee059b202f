"""One of several replicas leads, by a Lease.

Source: Kubernetes, "Leases" and the rules of its own components: who leads renews; who does not lead waits until the
lease stood still, by its own clock, for as long as it lasts. No clocks of two machines are ever compared.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from agent.inject.cluster import errors
from agent.inject.cluster.client import Client, Object
from agent.inject.cluster.kinds import LEASES
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

LASTS = 15.0
"""Seconds for which a lease is good after a renewal."""
GIVEN_UP = 10.0
"""Seconds without a renewal after which the leader stops leading: before anyone else may begin."""
EVERY = 2.0
"""Seconds between two looks."""


@dataclass
class _Seen:
    """The lease as it was seen to change last, by our clock."""

    version: str = ""
    at: float = 0.0


class Leader:
    """Writes ``leading``: true in at most one replica at a time; ready at once, since to wait is to serve."""

    name = "leader"
    stop_budget = 3.0

    def __init__(
        self,
        client: Client,
        lease: str,
        namespace: str,
        identity: str,
        leading: Latest[bool],
        *,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``identity`` tells the replicas apart: the pod's name. ``clock`` counts seconds and never jumps."""
        self._client = client
        self._lease = lease
        self._namespace = namespace
        self._identity = identity
        self._leading = leading
        self._health = health
        self._clock = clock
        self._wall = wall
        self._seen = _Seen()
        self._renewed = -GIVEN_UP

    async def run(self, ready: Ready) -> None:
        """Look for ever; at the end give the lease back, so that another need not wait for it."""
        ready()
        try:
            while True:
                await self._bounded()
                await asyncio.sleep(EVERY)
        finally:
            await self._leave()

    async def _bounded(self) -> None:
        """One turn, cut off where a leader would lead for too long on a renewal that is not answered."""
        try:
            async with asyncio.timeout(
                max(0.1, self._renewed + GIVEN_UP - self._clock()) if self._leading.value else GIVEN_UP
            ):
                await self.turn()
            self._health.ok("leads" if self._leading.value else "another replica leads")
        except (PillionError, TimeoutError) as error:
            self._health.degraded(str(error) or "the lease could not be renewed in time")
        if self._leading.value and self._clock() - self._renewed >= GIVEN_UP:
            self._tell(False)

    async def turn(self) -> None:
        """Look at the lease once, and take or renew it where that is right; raises Transient and Permanent."""
        began = self._clock()
        try:
            lease = await self._client.get(LEASES, self._lease, self._namespace)
        except errors.Absent:
            with contextlib.suppress(errors.Taken):  # another replica was first
                await self._client.create(LEASES, self._wanted(None), self._namespace)
                self._won(began)
            return
        if not self._free(lease):
            self._tell(False)
            return
        try:
            await self._client.replace(LEASES, self._wanted(lease))
        except errors.Conflict:
            self._tell(False)  # somebody else wrote it: the next look says who
            return
        self._won(began)

    def _free(self, lease: Object) -> bool:
        """Whether the lease is ours, nobody's, or stood still for as long as it lasts."""
        version, spec = str(lease["metadata"].get("resourceVersion", "")), _spec(lease)
        now = self._clock()
        if version != self._seen.version:
            self._seen = _Seen(version, now)
        holder = spec.get("holderIdentity") or ""
        if holder in {"", self._identity}:
            return True
        lasts = spec.get("leaseDurationSeconds")
        return now - self._seen.at >= (lasts if isinstance(lasts, int) else LASTS)

    def _wanted(self, lease: Object | None, *, holder: str | None = None) -> Object:
        """The lease as we write it; with ``holder`` empty it is given back."""
        held = self._identity if holder is None else holder
        before = _spec(lease) if lease else {}
        now = self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before.get("holderIdentity") == held
        turns = before.get("leaseTransitions")
        turns = turns if isinstance(turns, int) else 0
        spec = {
            "holderIdentity": held,
            "leaseDurationSeconds": int(LASTS) if held else 1,
            "acquireTime": before.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": turns if same or lease is None else turns + 1,
        }
        metadata = lease["metadata"] if lease else {"name": self._lease, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _won(self, since: float) -> None:
        self._renewed = since
        self._tell(True)

    def _tell(self, leading: bool) -> None:
        if leading is not self._leading.value:
            log.info("leader.changed", leading=leading, lease=self._lease)
        self._leading.set(leading)

    async def _leave(self) -> None:
        """Lead no longer, and say so to the others, if that works within a moment."""
        led = self._leading.value
        self._tell(False)
        if not led:
            return
        with contextlib.suppress(PillionError, TimeoutError):
            async with asyncio.timeout(self.stop_budget - 1):
                lease = await self._client.get(LEASES, self._lease, self._namespace)
                if _spec(lease).get("holderIdentity") == self._identity:
                    await self._client.replace(LEASES, self._wanted(lease, holder=""))


def _spec(lease: Object) -> dict[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}
