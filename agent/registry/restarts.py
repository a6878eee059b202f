"""Restarts of the service for changed configuration: one instance at a time across the fleet."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from agent.model.registration import Registration, Verdict
from agent.model.store import Store
from agent.registry import lock as locks
from agent.registry.client import Client
from agent.registry.delivery import SUBJECT
from agent.registry.former import Former
from agent.registry.lock import Lock, Phase
from agent.registry.metrics import Metrics
from agent.registry.rounds import instance_of, mark_of, passes
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import Permanent, PillionError
from agent.runtime.health import Health
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

WHY = "the service is restarted for changed configuration"
TOLD = 3.0
"""Seconds that Consul may take to hear that the instance goes out of traffic."""
LOOK = 30.0
"""Seconds that a question for the lock may be held."""
PROVE = 0.5
"""Seconds between two looks whether the instance passes again."""
FORMER = 3.0
"""The same for another one, whose lock has ended."""
STUCK = 30.0
"""Seconds after which an instance that does not pass again is noted as the end of the round."""


def key_of(service: str) -> str:
    """The key of the lock; beside that of the live settings, so that a token's rights can tell them apart."""
    return f"pillion/{service}/restart"


class Watched(Protocol):
    """The look at the service's health; see ``Probe``."""

    def hold(self, why: str) -> None:
        """Call the service unwell."""

    def resume(self) -> None:
        """Well at the first success from now on."""


class Restarts:
    """Restarts the service when asked, holding the fleet's lock from before until the instance passes its check again.

    An instance that does not pass keeps the lock, so that the others keep what they have; it is restarted again when
    the configuration changes, and takes the lock again where Consul lost it. One whose service ended instead, or that
    left after a while without passing, leaves word in the lock: nobody follows it with the same configuration. The lock
    of one that died ends by itself, but the next instance still waits for the one that it names, see ``Former``. Before
    the restart the instance leaves traffic as when it stops, unless nobody else could take its place.
    """

    name = "restarts"
    stop_budget = 3.0

    def __init__(
        self,
        lock: Lock,
        client: Client,
        restart: Callable[[], Awaitable[object]],
        probe: Watched | None,
        *,
        service: str,
        instance: str,
        verdicts: Latest[Verdict],
        registration: Latest[Registration],
        leaving: Latest[bool],
        draining: Latest[bool],
        store: Latest[Store],
        ended: Callable[[], bool],
        spread: float,
        gone_after: float,
        health: Health,
        metrics: Metrics,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``restart`` ends the service and starts it with what was delivered last; ``probe`` None: it is not
        registered, and nobody asks how it is. ``ended`` says whether the service ended without being asked to;
        ``spread`` as ``registry.spread``, ``gone_after`` as ``registry.deregister_after``.
        """
        self._lock = lock
        self._client = client
        self._restart = restart
        self._probe = probe
        self._service = service
        self._instance = instance
        self._verdicts = verdicts
        self._registration = registration
        self._leaving = leaving
        self._draining = draining
        self._store = store
        self._ended = ended
        self._spread = spread
        self._health = health
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        self._former = Former(client, service, lock.key, gone_after, clock=clock)
        self._wanted = Latest(("", ""))
        """What the service had when somebody asked first, and what it is to have."""
        self._started = ""
        """With what it was restarted last; empty: never."""
        self._proven = True
        """It passed since."""
        self._since = 0.0
        """When it was restarted, by the clock."""
        self._stuck = False
        """It was noted that it does not pass."""

    async def ask(self, before: str, after: str) -> bool:
        """Have the service run with ``after`` where it ran with ``before``; whether all is done already."""
        self._wanted.set((before, after))
        return self._settled

    @property
    def _settled(self) -> bool:
        before, after = self._wanted.value
        return after == (self._started or before) and self._proven

    async def run(self, ready: Ready) -> None:
        """Turn after turn, until cancelled; the lock is given up then."""
        ready()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep(), name="restarts:lock")
                await self._follow()
        finally:
            self._health.stopped()
            with contextlib.suppress(PillionError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._lock.give(self._last_word())

    @property
    def _goes(self) -> bool:
        """Whether the instance leaves, for good: nobody takes back a stop or a drain."""
        return self._leaving.value or self._draining.value

    def _last_word(self) -> Phase:
        if self._proven:
            return "done"
        failed = self._ended() or (self._stuck and not self._draining.value)
        return "failed" if failed else "restarted"

    async def _follow(self) -> None:
        backoff = Backoff(0.2, 3.0)
        while True:
            version = self._wanted.version
            try:
                pause = await self.turn()
                backoff.reset()
            except PillionError as error:
                log.warning("restart.failed", error=str(error))
                rights = f" (session write, and write on the key {self._lock.key})" if refused(error) else ""
                self._health.degraded(
                    f"the service is not restarted for changed configuration: {error}{rights}"
                )
                pause = backoff.next()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.changed(version)

    async def turn(self) -> float | None:
        """One step; the seconds until the next, None: not before something else is wanted."""
        settled = self._settled
        self._metrics.unsettled.set(int(not settled))
        if settled or (self._goes and self._proven):
            await self._lock.give("done")
        if settled:
            self._health.ok()
        if settled or self._goes:
            return None
        before, after = self._wanted.value
        if after == (self._started or before):
            return await self._prove()
        if self._lock.sure or await self._obtain():
            return await self._renew()
        return random.uniform(0.05, 0.5)  # noqa: S311 - not for secrets

    async def _keep(self) -> None:
        """Keep the lock while it is held."""
        while True:
            await asyncio.sleep(locks.TTL / 4)
            with contextlib.suppress(PillionError):
                if self._lock.held and not await self._lock.renew():
                    log.warning("restart.lock_lost", key=self._lock.key)

    async def _obtain(self) -> bool:
        """Try for the lock; when another instance is at it, wait until that changes."""
        index, held = await self._lock.look()
        if held.session:
            own = held.owner == self._instance
            other = f"{held.owner or 'another instance'} is restarted first and has to pass its check"
            self._waits("the lock that it had before has to end" if own else other)
            await self._news(index)
            return False
        mark = mark_of(self._store.value)
        wanted = self._wanted.value[1]
        if held.owner != self._instance and (why := await self._former.against(index, held, mark, wanted)):
            self._waits(why)
            await asyncio.sleep(FORMER)
            return False
        if await self._lock.take(mark):
            return True
        await self._lock.give("taken")
        return False

    def _waits(self, why: str) -> None:
        self._health.degraded(f"the service is to be restarted for changed configuration: {why}")

    async def _news(self, index: int) -> None:
        """Wait until the lock changed or something else is wanted."""
        asked = asyncio.ensure_future(self._lock.look(index, LOOK))
        wanted = asyncio.ensure_future(self._wanted.changed(self._wanted.version))
        try:
            await asyncio.wait({asked, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                asked.result()
        finally:
            for task in (asked, wanted):
                if task.cancel():
                    await asyncio.wait({task})

    async def _renew(self) -> float:
        """Restart the service; the lock is held."""
        if not await self._lock.renew():
            return 0.0
        try:
            if self._probe is not None:
                self._probe.hold(WHY)
                await self._leave()
            # To leave takes seconds, in which Consul may have ended the session and given the lock to another.
            if not self._goes and await self._lock.renew():
                await self._lock.say("restarted", mark_of(self._store.value))
                after, self._proven, self._stuck = self._wanted.value[1], False, False
                await self._restart()
                self._started, self._since = after, self._clock()
                log.info("restart.done")
        finally:
            if self._probe is not None:
                self._probe.resume()
        return 0.0

    async def _leave(self) -> None:
        """Have callers go elsewhere, where there is an elsewhere."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD):
                await self._registration.until(
                    lambda known: not known.registered or (known.told is not None and not known.told.passing)
                )
        _, entries = await self._client.instances(self._service)
        if any(passes([one]) and instance_of(one) != self._instance for one in entries):
            await asyncio.sleep(self._spread)

    async def _prove(self) -> float:
        """Look whether the instance passes again; then it is the next one's turn."""
        if await self._passes():
            # The next one leaves traffic as soon as it has the lock: callers have to know of this one before.
            await asyncio.sleep(self._spread)
            self._proven = True
            self._note("accepted", "the service was restarted with them and passes its check")
            return 0.0
        said = (
            f"the service was restarted for changed configuration and does not pass its check: {self._why()}"
        )
        self._health.degraded(f"{said}; the other instances wait for it and keep what they have")
        if not self._stuck and self._clock() - self._since > STUCK:
            self._stuck = True
            self._note("refused", f"{said}; no other instance is restarted until it does, or has gone")
            log.warning("restart.stuck", why=self._why())
        await self._keep_back()
        return PROVE

    async def _keep_back(self) -> None:
        """Take the lock again if Consul lost it: the others wait for an instance that lives, however long it takes."""
        if self._lock.sure:
            return
        _, held = await self._lock.look()
        if not held.session and held.owner == self._instance:
            await self._lock.take(held.mark, "restarted")

    async def _passes(self) -> bool:
        if self._probe is None:
            return True
        told = self._registration.value.told
        if not self._verdicts.value.passing or told is None or not told.passing:
            return False
        return passes(await self._client.entries(self._service, self._instance))

    def _why(self) -> str:
        verdict, known = self._verdicts.value, self._registration.value
        return known.problem or (
            f"Consul was not told yet that {verdict.note}" if verdict.passing else verdict.note
        )

    def _note(self, outcome: str, detail: str) -> None:
        if self._journal is not None:
            self._journal.add(SUBJECT, outcome, detail)


def refused(error: PillionError) -> bool:
    """Whether Consul refused what was asked."""
    return isinstance(error, Permanent) and "refused" in str(error)
