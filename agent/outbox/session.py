"""A member of a feed: beats, shares, publishes, saves and cleans up until all is lost, or given back because the agent
stops."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

import structlog
from opentelemetry.trace import Tracer

from agent.outbox.brokers import Broker, Link
from agent.outbox.cleanup import Cleaner
from agent.outbox.courier import AwayError, Courier
from agent.outbox.database import Connection
from agent.outbox.holding import Holding
from agent.outbox.leases import LOOKS, Claim, Lease, Ledger, LostError, beats_every
from agent.outbox.metrics import Metrics
from agent.outbox.pace import Done, Pace
from agent.outbox.turns import Turns
from agent.runtime.backoff import Backoff
from agent.runtime.errors import PillionError

log = structlog.get_logger(__name__)
T = TypeVar("T")

SAVE_EVERY = 0.5
"""Seconds between two saves at the least; a relay that is killed publishes again what came after the last."""

SAVE_SHARE = 20
"""A save may take one part in so many of the time: under a long transaction of the service its updates
pile up."""

SAVE_IDLE = 10.0
"""Seconds between two saves where nothing was published and only the snapshot moved."""


@dataclass(frozen=True)
class Timing:
    """How long things may take, in seconds."""

    lease: float
    acknowledgement: float


class Session:
    """One membership of one feed. ``clock`` returns seconds and goes on while the host sleeps."""

    def __init__(
        self,
        claim: Claim,
        turns: Turns,
        holding: Holding,
        ledger: Ledger,
        broker: Broker,
        *,
        topics: frozenset[str],
        timing: Timing,
        pace: Pace,
        cleaner: Cleaner | None,
        metrics: Metrics,
        tracer: Tracer | None,
        clock: Callable[[], float],
        stopping: asyncio.Event,
        tell: Callable[[str], None],
    ) -> None:
        """``stopping`` ends the session in order. ``tell`` is told what is missing, and an empty text when
        nothing is."""
        self.claim = claim
        self.turns = turns
        self.warnings: tuple[str, ...] = ()
        self.rate = 0.0
        self._holding = holding
        self._ledger = ledger
        self._broker = broker
        self._topics = topics
        self._timing = timing
        self._pace = pace
        self._cleaner = cleaner
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._stopping = stopping
        self._tell = tell
        self._feed = turns.feed
        self._lease = Lease(timing.lease, clock, claim.sent)

    async def run(self, writes: Connection, reads: Connection) -> None:
        """Work until told to stop. Raises LostError when all is lost, Transient or Permanent when the database is
        away.

        ``writes`` is for beats and saves; ``reads`` is the reader's own, so that a slow page holds up no beat, and
        between two turns that of exchanges.
        """
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(self._beat(writes), name=f"outbox beats {self._feed}"),
                    group.create_task(self._save(writes), name=f"outbox saves {self._feed}"),
                    group.create_task(self._share(writes, reads), name=f"outbox shares {self._feed}"),
                ]
                if self._cleaner is not None:
                    others.append(
                        group.create_task(
                            self._cleaner.run(self._cleans), name=f"outbox cleanup {self._feed}"
                        )
                    )
                await self._publish(writes)
                for task in others:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise first(errors) from errors
        await self._leave(writes)

    async def _leave(self, writes: Connection) -> None:
        await self._holding.save(writes)
        await self._ledger.release(writes, self.claim)
        log.info("outbox.released", feed=self._feed)

    async def _beat(self, writes: Connection) -> None:
        while True:
            sent = self._clock()
            async with asyncio.timeout(max(self._lease.left, 0.01)):
                await self._ledger.beat(writes, self.claim)
            self._lease.renew(sent)
            await asyncio.sleep(beats_every(self._timing.lease))

    async def _share(self, writes: Connection, reads: Connection) -> None:
        while True:
            # Not in step with the others: of two that see the same at once one comes for nothing.
            await asyncio.sleep(random.uniform(0.6, 1) * self._timing.lease / LOOKS)  # noqa: S311 - jitter
            if await self._holding.look(writes):
                await self._holding.exchange(reads)

    def _cleans(self) -> bool:
        # One of the members: who has the first bucket.
        return 0 in self.claim.epochs

    async def _save(self, writes: Connection) -> None:
        # The first save comes soon: a relay that is killed again and again must still get on.
        pause, published, idle = SAVE_EVERY / 5, 0, self._clock()
        while True:
            await asyncio.sleep(pause)
            self.rate += 0.2 * ((self.turns.published - published) / pause - self.rate)
            if (
                self.turns.published == published
                and self._clock() - idle < SAVE_IDLE
                and not self.turns.stops.all
            ):
                continue
            published, idle = self.turns.published, self._clock()
            started = time.monotonic()
            await self._holding.save(writes)
            pause = max(SAVE_EVERY, SAVE_SHARE * (time.monotonic() - started))

    async def _publish(self, writes: Connection) -> None:
        backoff = Backoff(0.1, 10.0)
        while not self._stopping.is_set():
            losses = self._holding.losses
            try:
                await self._linked(backoff)
            except AwayError as error:
                self._away(str(error))
                await self._rest(backoff.next(error.delay))
            except LostError:
                if self._lease.left <= 0:
                    raise
                # Some buckets are another's; all others are not. What was on its way is sent again on a new link.
                await self._holding.look(writes)
                if self._holding.losses == losses:
                    raise

    async def _linked(self, backoff: Backoff) -> None:
        courier = Courier(
            self._lease, self._timing.acknowledgement, self._tracer, self._broker.name, self._clock
        )
        async with AsyncExitStack() as stack:
            try:
                link = await stack.enter_async_context(self._broker.link(courier, self._topics))
            except PillionError as error:
                raise AwayError(str(error)) from error
            self.warnings = link.warnings
            self._tell("")
            self._pace.linked()
            while not self._stopping.is_set():
                done = await self._turn(courier, link)
                if done.worked:
                    backoff.reset()
                    await asyncio.sleep(0)
                await self._rest(self._paced(done))

    async def _turn(self, courier: Courier, link: Link) -> Done:
        began, published, latency = self._clock(), self.turns.published, self.turns.latency
        self.turns.limit(self._pace.size)
        async with self._holding.turn():
            worked = await self.turns.turn(courier, link)
        courier.check()
        self._metrics.database.labels(self._feed).set(latency.seconds)
        return Done(began, worked, self.turns.has_more, self.turns.published - published, latency.late)

    def _paced(self, done: Done) -> float:
        was = self._pace.is_slowed
        pause = self._pace.rest(done)
        if self._pace.is_slowed and not was:
            self._tell(
                "the service's database answers late, so the relay slows down; see outbox.max_db_latency"
            )
        elif was and not self._pace.is_slowed:
            self._tell("")
        return pause

    def _away(self, reason: str) -> None:
        self._pace.lost()
        self._metrics.away.labels(self._feed).inc()
        self._tell(f"the broker is away, nothing is lost and it is tried again: {reason}")
        log.warning("outbox.broker_away", feed=self._feed, reason=reason)

    async def _rest(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that is not a defect if there is one; a defect must not be hidden behind it."""
    flat: list[BaseException] = []
    waiting: list[BaseException] = [errors]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions
        else:
            flat.append(error)
    defects = [error for error in flat if not isinstance(error, PillionError | TimeoutError)]
    return (defects or flat)[0]
