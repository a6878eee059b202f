"""Keeps this instance registered as it should be and feeds its TTL check."""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable

import structlog

from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.registration import Registration, Verdict
from agent.registry import definition
from agent.registry.endpoint import is_wildcard, resolved
from agent.registry.ledger import Ledger
from agent.registry.metrics import Metrics
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import Misconfigured, PillionError, Transient
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

DEREGISTER = 3.0
"""Seconds that a deregistration may take when the instance leaves."""


class Registrar:
    """Compares, repairs, feeds; never gives up and never waits for Consul to be ready.

    Until the gate has decided for the first time (``verdicts.version`` 0) nothing is told: an agent that
    restarts beside a well service leaves the check as it is. When the instance leaves, it is deregistered;
    when only the agent ends, the registration stays, and the TTL speaks for itself.
    """

    name = "registrar"
    stop_budget = DEREGISTER + 1.0

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        host: str,
        *,
        verdicts: Latest[Verdict],
        registration: Latest[Registration],
        leaving: Latest[bool],
        health: Health,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``settings`` were bound; ``host`` names this machine or pod and is part of the instance's id."""
        self._ledger = ledger
        self._settings = settings
        self._host = host
        self._verdicts = verdicts
        self._registration = registration
        self._leaving = leaving
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._backoff = Backoff(0.2, 3.0)
        self._look = 0.0
        """When to compare the registration again, in seconds of the clock."""
        self._desired: definition.Definition | None = None
        """As it was compared last."""
        self._credentials = 0
        """Of the token with which it was registered; 0: none, or not known."""

    async def run(self, ready: Ready) -> None:
        """Turn after turn, until cancelled."""
        ready()
        try:
            while True:
                seen = self._verdicts.version
                pause = await self.turn()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._verdicts.changed(seen)
        except asyncio.CancelledError:
            if self._leaving.value:
                await self._deregister()
            self._health.stopped()
            raise

    async def turn(self) -> float:
        """Look at the registration if it is time, feed the check; the seconds until the next turn is due."""
        try:
            began = self._clock()
            credentials = await self._ledger.credentials()
            renewed = credentials != self._credentials
            # Fed first: where Consul is slow a look takes seconds, and the check must not be over meanwhile.
            known = renewed or self._desired is None or await self._tell()
            if renewed or not known or self._clock() >= self._look:
                # What is not known may still be there as it should be, without its check.
                wrote = await self._reconcile(write="token" if renewed else "" if known else "check")
                self._credentials = credentials
                # Where Consul forgets nothing only a look shows that it has another word than the last.
                if (wrote or math.isinf(self._ledger.feeding)) and not await self._tell():
                    raise Transient("Consul does not know the check that was registered a moment ago")
        except PillionError as error:
            self._troubled(error)
            return self._backoff.next()
        self._backoff.reset()
        self._health.ok()
        self._registration.set(Registration(True, self._registration.value.told))
        self._metrics.registered.set(1)
        feed = began + self._ledger.feeding
        return max(min(feed, self._look) - self._clock(), 0.05)

    async def _reconcile(self, *, write: str = "") -> bool:
        """Compare and repair; ``write`` is a reason to register even what looks right. Whether the check is to be fed
        again after it, because it may be another one or nobody has fed it yet."""
        first = self._desired is None
        desired = definition.build(self._settings, self._host, await self._address())
        found = await self._ledger.look(desired)
        reason = "" if found is None else ", ".join(definition.differences(desired.body, found))
        if found is None:
            self._registration.set(Registration(problem="Consul does not know this instance"))
            reason = "lost" if self._desired else "new"
        if reason or write:
            await self._register(desired, reason or write)
        self._desired = desired
        interval = self._settings.registry.reconcile_interval
        self._look = self._clock() + random.uniform(0.8, 1.0) * interval  # noqa: S311 - not for secrets
        return first or bool(reason or write)

    async def _register(self, desired: definition.Definition, reason: str) -> None:
        await self._ledger.write(desired, self._verdicts.value)
        self._metrics.repairs.labels(reason if reason in {"new", "lost"} else "changed").inc()
        event = "registration.created" if reason == "new" else "registration.repaired"
        log.info(event, instance=desired.instance, reason=reason, address=desired.body["Address"])

    async def _tell(self) -> bool:
        """Feed the check with the newest verdict; False when Consul does not know the check."""
        if self._desired is None or self._verdicts.version == 0:
            return True
        verdict = self._verdicts.value
        known = await self._ledger.tell(self._desired, verdict)
        self._metrics.updates.labels("told" if known else "unknown").inc()
        before = self._registration.value
        told = verdict if known else None
        self._registration.set(Registration(before.registered and known, told, before.problem))
        if known:
            self._metrics.passing.set(int(verdict.passing))
        return known

    @property
    def _instance(self) -> str:
        return definition.instance_id(self._settings, self._host)

    async def _address(self) -> str:
        """Where callers reach the inbound; see the setting ``service.address``."""
        if self._settings.service.address:
            # Callers' Envoys resolve no names.
            return await resolved(self._settings.service.address)
        bound = Address.parse(self._settings.proxy.inbound).host
        if not is_wildcard(bound):
            return await resolved(bound)  # it listens nowhere else
        return await self._ledger.address()

    def _troubled(self, error: PillionError) -> None:
        self._metrics.failures.labels("registration").inc()
        self._metrics.registered.set(0)
        before = self._registration.value
        if before.problem != str(error):
            log.warning("registration.failed", error=str(error))
        self._registration.set(Registration(before.registered, before.told, str(error)))
        what = (
            "the settings can't be registered"
            if isinstance(error, Misconfigured)
            else "not registered or not fed"
        )
        self._health.degraded(f"{what}: {error}")

    async def _deregister(self) -> None:
        try:
            async with asyncio.timeout(DEREGISTER):
                await self._ledger.remove(self._instance)
        except (PillionError, TimeoutError) as error:
            log.warning(
                "registration.left_behind", instance=self._instance, error=str(error) or "no answer in time"
            )
            return
        self._registration.set(Registration())
        self._metrics.registered.set(0)
        log.info("registration.removed", instance=self._instance)
