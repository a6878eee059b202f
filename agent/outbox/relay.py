"""The relay as a component: for each feed it stands by, claims it when nobody has it, and relays it."""

import asyncio
import functools
import random
import secrets
import time
from collections.abc import Callable

import structlog
from opentelemetry.trace import Tracer

from agent.config.sections.outbox import Outbox
from agent.outbox import events, identity, shape
from agent.outbox.brokers import Broker
from agent.outbox.cleanup import Cleaner
from agent.outbox.cursor import BUCKETS, Cursor
from agent.outbox.database import Connection, Database
from agent.outbox.feeds import Feed, feeds
from agent.outbox.leases import Claim, Ledger, LostError, Watch
from agent.outbox.metrics import Metrics
from agent.outbox.parked.keys import Limits
from agent.outbox.parked.ledger import HeldLedger
from agent.outbox.parked.replay import Replay
from agent.outbox.parked.shelf import Shelf
from agent.outbox.reader import Reader
from agent.outbox.session import Session, Timing
from agent.outbox.status import FeedStatus, set_aside, stopped
from agent.outbox.turns import Turns
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError, Transient
from agent.runtime.health import Health

log = structlog.get_logger(__name__)

READS = {
    # A page may lie behind many millions of rows that were read before; beats do not wait for it.
    "statement_timeout": "600000",
    # A page of a walk is found in order by the index on the rows' numbers. Where PostgreSQL knows nothing of the table
    # yet, as after a restore, it would rather read and sort all that is left, for each page anew.
    "enable_sort": "off",
}
"""What the reader's connection is set to besides."""

DRAIN = 8.0
"""Seconds that a stopping relay waits for what is in flight, the last save and the release."""


def boot_clock() -> float:
    """Seconds since the host started, also those that it slept: what leases are judged by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Relay:
    """Moves the events of all feeds. It waits for nothing outside: what is away is tried again for ever."""

    name = "relay"
    stop_budget = DRAIN + 2.0

    def __init__(
        self,
        settings: Outbox,
        *,
        service: str,
        identity: str,
        url: Callable[[], str],
        broker: Broker,
        health: Health,
        metrics: Metrics,
        tracer: Tracer | None = None,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        """``identity`` is this instance's stable id: a process that starts under it takes over at once
        what its dead predecessor had. ``url`` gives the database's URL whenever a connection is made.
        ``clock`` returns seconds and goes on while the host sleeps. Raises Misconfigured.
        """
        owner = f"{identity}/{secrets.token_hex(6)}"
        self._health = health
        self._stopping = asyncio.Event()
        self._problems: dict[str, str] = {}
        database, reads = Database(url), Database(url, settings=READS)
        self._feeds = [
            FeedRelay(
                feed, settings, service=service, owner=owner, database=database, reads=reads, broker=broker,
                metrics=metrics, tracer=tracer, clock=clock, stopping=self._stopping,
                tell=functools.partial(self._tell, feed.name),
            )
            for feed in feeds(settings)
        ]  # fmt: skip

    async def run(self, ready: Ready) -> None:
        """See ``runtime.Component``."""
        tasks = [asyncio.create_task(feed.run(), name=f"outbox {feed.name}") for feed in self._feeds]
        ready()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            self._stopping.set()
            await self._drain(tasks)
            self._health.stopped()

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        _, late = await asyncio.wait(tasks, timeout=DRAIN)
        for task in late:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                log.error("outbox.stopped_badly", error=str(error))

    async def status(self) -> tuple[FeedStatus, ...]:
        """Each feed as this agent sees it."""
        return tuple(feed.status() for feed in self._feeds)

    def _tell(self, feed: str, problem: str) -> None:
        self._problems[feed] = problem
        said = [f"{name}: {text}" for name, text in self._problems.items() if text]
        if said:
            self._health.degraded("; ".join(said))
        else:
            self._health.ok()


class FeedRelay:
    """One feed's life: standing by, owning, losing, again."""

    def __init__(
        self,
        feed: Feed,
        settings: Outbox,
        *,
        service: str,
        owner: str,
        database: Database,
        reads: Database,
        broker: Broker,
        metrics: Metrics,
        tracer: Tracer | None,
        clock: Callable[[], float],
        stopping: asyncio.Event,
        tell: Callable[[str], None],
    ) -> None:
        self.name = feed.name
        self._feed = feed
        self._settings = settings
        self._service = service
        self._owner = owner
        self._database = database
        self._reads = reads
        self._broker = broker
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._stopping = stopping
        self._tell_health = tell
        self._problem = "starting"
        self._holder = ""
        self._session: Session | None = None
        self._ledger = Ledger(settings.schema, feed.name)
        self._watch = Watch(settings.lease, clock, self._is_former)
        # Once only: if two agents ran under one identity, they would take the feed from each other for ever.
        self._new = True
        self._fresh = clock()
        metrics.stand_by(
            self.name, (each for each in events.patterns(feed, service) if not {"*", ">"} & {*each})
        )
        # Asked when it is scraped: it rises above all while nothing happens here.
        metrics.lag.labels(self.name).set_function(self._lag)

    def _lag(self) -> float:
        return self._session.turns.lag if self._session else self._clock() - self._fresh

    def _is_former(self, owner: str) -> bool:
        # Under its own name this very process had the feed until its connection ended.
        if owner == self._owner:
            return True
        return self._new and owner.rpartition("/")[0] == self._owner.rpartition("/")[0]

    async def run(self) -> None:
        """Until the agent stops. What is away is tried again with a growing delay."""
        backoff = Backoff(0.2, 15.0)
        while not self._stopping.is_set():
            try:
                await self._once()
                backoff.reset()
                pause = random.uniform(0.6, 1) * max(self._settings.lease / 4, 0.25)  # noqa: S311 - jitter
            except LostError as error:
                self._metrics.lost.labels(self.name).inc()
                self._tell(str(error))
                pause = backoff.next()
            except (PillionError, TimeoutError) as error:
                if isinstance(error, identity.ForeignError):
                    self._metrics.stopped.labels(self.name).set(BUCKETS)
                self._tell(str(error) or "PostgreSQL did not answer within the lease")
                pause = backoff.next(getattr(error, "delay", None))
            await self._rest(pause)

    def status(self) -> FeedStatus:
        """The feed as this agent sees it now."""
        session = self._session
        if session is None:
            return FeedStatus(self.name, "standby", self._problem, self._holder)
        return FeedStatus(
            self.name,
            "active",
            self._problem,
            self._owner,
            session.turns.published,
            round(session.rate, 1),
            round(session.turns.lag, 3),
            stopped(session.turns.stops.all, self._clock()),
            session.warnings,
            set_aside(session.turns.shelf),
        )

    async def _once(self) -> None:
        async with self._database.connection() as writes:
            await self._ledger.home(writes)
            self._metrics.stopped.labels(self.name).set(0)
            owners = await self._ledger.owners(writes)
            self._holder = next((each.name for each in owners if each.name), "")
            gone = [self._watch.is_gone(each) for each in owners]
            claim = (
                await self._ledger.claim(writes, self._owner, self._watch, self._clock) if all(gone) else None
            )
            if claim is None:
                self._tell("")
                return
            self._new = False
            log.info("outbox.claimed", feed=self.name, owner=self._owner, former=self._holder)
            await self._work(writes, claim)

    async def _work(self, writes: Connection, claim: Claim) -> None:
        async with self._reads.connection() as reads:
            if await identity.server(reads, f"reading the outbox {self.name}") != claim.server:
                raise Transient(
                    f"reading the outbox {self.name}: two connections to outbox.database led to two servers, as in a "
                    "failover; it is claimed again"
                )
            table = await shape.look(reads, self._feed)
            block = int(
                await reads.value(
                    f"reading the outbox {self.name}", "SELECT current_setting('wal_block_size')::int"
                )
            )
            maker = events.Maker(
                self._service,
                self._feed,
                table.content,
                claim.history,
                claim.adopted,
                self._settings.partitions,
            )
            reader = Reader(reads, table, self.name, self._settings.page, block)
            shelf = self._shelf(writes, claim)
            turns = Turns(
                Cursor(claim.places), reader, maker, self._metrics, self._clock, fresh=self._fresh, shelf=shelf,
                replay=Replay(shelf, reader, maker, self._clock, self._settings.page),
            )  # fmt: skip
            self._session = session = self._session_of(claim, turns)
            self._metrics.active.labels(self.name).set(1)
            try:
                await session.run(writes)
            finally:
                self._session, self._fresh = None, turns.fresh
                self._metrics.active.labels(self.name).set(0)
                self._metrics.stopped.labels(self.name).set(0)
                self._metrics.set_aside(self.name, {}, 0, 0.0)

    def _shelf(self, writes: Connection, claim: Claim) -> Shelf:
        settings = self._settings
        # On the connection of the saves: two that lock the same buckets in other orders would wait for each other.
        ledger = HeldLedger(writes, settings.schema, self.name, lambda: claim.epochs)
        return Shelf(
            ledger, self._metrics, self._clock, feed=self.name,
            limits=Limits(settings.held_key_rows, settings.held_rows), on_refused=settings.on_refused,
            hold_after=settings.hold_after, suspicion=claim.suspicion,
        )  # fmt: skip

    def _session_of(self, claim: Claim, turns: Turns) -> Session:
        settings = self._settings
        cleaner = None
        if self._feed.own and settings.retention > 0:
            cleaner = Cleaner(self._database, settings.schema, self.name, settings.retention, self._metrics)
        return Session(
            claim, turns, self._ledger, self._broker,
            topics=events.patterns(self._feed, self._service, settings.partitions),
            timing=Timing(settings.lease, settings.broker.timeout),
            cleaner=cleaner, metrics=self._metrics, tracer=self._tracer, clock=self._clock,
            stopping=self._stopping, tell=self._tell,
        )  # fmt: skip

    def _tell(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("outbox.degraded", feed=self.name, problem=problem)
        self._problem = problem
        self._tell_health(problem)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
