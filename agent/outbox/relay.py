"""The relay as a component: for each feed it stands by, joins where there is room, and relays its share."""

import asyncio
import contextlib
import functools
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable

import structlog
from opentelemetry.trace import Tracer

from agent.config.sections.outbox import Outbox
from agent.outbox import events, identity, shape
from agent.outbox.brokers import Broker
from agent.outbox.cleanup import Cleaner
from agent.outbox.courier import Courier
from agent.outbox.cursor import BUCKETS, Cursor
from agent.outbox.database import Connection, Database
from agent.outbox.feeds import Feed, feeds
from agent.outbox.holding import Holding
from agent.outbox.leases import Claim, Lease, Ledger, LostError
from agent.outbox.metrics import Metrics
from agent.outbox.pace import Pace
from agent.outbox.parked.keys import Limits
from agent.outbox.parked.ledger import HeldLedger
from agent.outbox.parked.replay import Replay
from agent.outbox.parked.shelf import Shelf
from agent.outbox.reader import PLANNER, Reader
from agent.outbox.session import Session, Timing
from agent.outbox.shape import Shape
from agent.outbox.shares import Living, View, Watch, has_room
from agent.outbox.status import FeedStatus, set_aside, stopped
from agent.outbox.turns import Turns
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import Permanent, PillionError, Transient
from agent.runtime.health import Health

log = structlog.get_logger(__name__)

READS = {
    # A page may lie behind many millions of rows that were read before; beats do not wait for it.
    "statement_timeout": "600000",
    **PLANNER,
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
    """One feed's life: standing by, relaying a share, losing it, again."""

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
        self._noted = Counter[str]()
        """Of replays that had no end while this process lived, by key."""
        self._ledger = Ledger(settings.schema, feed.name, clock)
        self._watch = Watch(settings.lease, clock, self._is_former)
        self._topics = events.patterns(feed, service, settings.partitions)
        # Once only: if two agents ran under one identity, they would take the feed from each other for ever.
        self._new = True
        self._fresh = clock()
        metrics.stand_by(
            self.name, (each for each in events.patterns(feed, service) if not {"*", ">"} & {*each})
        )
        # Asked when they are scraped: the lag rises above all while nothing happens here.
        metrics.lag.labels(self.name).set_function(self._lag)
        metrics.buckets.labels(self.name).set_function(lambda: float(self._buckets))
        metrics.active.labels(self.name).set_function(lambda: float(self._buckets > 0))

    @property
    def _buckets(self) -> int:
        return len(self._session.claim.epochs) if self._session else 0

    def _lag(self) -> float:
        return self._session.turns.lag if self._session else self._clock() - self._fresh

    def _is_former(self, owner: str) -> bool:
        return self._new and owner.rpartition("/")[0] == self._owner.rpartition("/")[0]

    async def run(self) -> None:
        """Until the agent stops. What is away is tried again with a growing delay, and at once where it worked for
        long."""
        backoff = Backoff(0.2, 15.0)
        while not self._stopping.is_set():
            began = self._clock()
            try:
                await self._once()
                backoff.reset()
                # Where several relay, each looks after the others: who stands by need not hurry.
                looks = 4 if self._settings.relays == 1 else 2
                pause = random.uniform(0.6, 1) * max(self._settings.lease / looks, 0.25)  # noqa: S311 - jitter
            except LostError as error:
                self._metrics.lost.labels(self.name).inc()
                self._tell(str(error))
                backoff.lasted(self._clock() - began)
                pause = backoff.next()
            except (PillionError, TimeoutError) as error:
                if isinstance(error, identity.ForeignError):
                    self._metrics.stopped.labels(self.name).set(BUCKETS)
                self._tell(str(error) or "PostgreSQL did not answer within the lease")
                backoff.lasted(self._clock() - began)
                pause = backoff.next(getattr(error, "delay", None))
            await self._rest(pause)

    def status(self) -> FeedStatus:
        """The feed as this agent sees it now."""
        session = self._session
        if session is None:
            return FeedStatus(self.name, "standby", self._problem, self._holder)
        return FeedStatus(
            self.name,
            "active" if self._buckets else "standby",
            self._problem,
            self._owner if self._buckets else self._holder,
            session.turns.published,
            round(session.rate, 1),
            round(session.turns.lag, 3),
            stopped(session.turns.stops.all, self._clock()),
            session.warnings,
            set_aside(session.turns.shelf),
            self._buckets,
        )

    async def _once(self) -> None:
        async with self._database.connection() as writes:
            home = await self._ledger.home(writes)
            self._metrics.stopped.labels(self.name).set(0)
            view, living = await self._ledger.look(writes, self._watch)
            self._holder = ", ".join(sorted({each for each in view.owners.values() if each}))
            if home is None or not has_room(self._owner, living, self._settings.relays):
                self._tell("")
                return
            async with self._reads.connection() as reads:
                # All that may be in the way comes before a share of the feed is taken from somebody.
                table = await shape.look(reads, self._feed)
                server = await identity.server(reads, f"reading the outbox {self.name}")
                await self._reach(view, living)
                claim = await self._ledger.join(writes, self._owner, self._watch, self._settings.relays)
                if claim is None:
                    self._tell("")
                    return
                self._new = False
                log.info(
                    "outbox.claimed", feed=self.name, owner=self._owner, buckets=len(claim.epochs),
                    former=self._holder,
                )  # fmt: skip
                await self._work(writes, reads, claim, server, table)

    async def _reach(self, view: View, living: Living) -> None:
        """Make sure of the broker where others relay: they get on better without one that can't."""
        if not living.alive.intersection(each for each in view.owners.values() if each != self._owner):
            return
        settings = self._settings
        lease = Lease(settings.lease, self._clock, self._clock())
        courier = Courier(lease, settings.broker.timeout, None, self._broker.name, self._clock)
        async with self._broker.link(courier, self._topics):
            return

    async def _work(
        self, writes: Connection, reads: Connection, claim: Claim, server: identity.Server, table: Shape
    ) -> None:
        if server != claim.server:
            raise Transient(
                f"reading the outbox {self.name}: two connections to outbox.database led to two servers, as in a "
                "failover; it is claimed again"
            )
        doing = f"reading the outbox {self.name}"
        block = int(await reads.value(doing, "SELECT current_setting('wal_block_size')::int"))
        self._session = session = self._session_of(claim, self._turns(writes, reads, claim, table, block))
        try:
            await session.run(writes, reads)
        except Permanent:
            # It would come again: the others get on with it at once.
            with contextlib.suppress(PillionError):
                await self._ledger.release(writes, claim)
            raise
        finally:
            self._session, self._fresh = None, session.turns.fresh
            self._metrics.stopped.labels(self.name).set(0)
            self._metrics.set_aside(self.name, {}, 0, 0.0)

    def _turns(self, writes: Connection, reads: Connection, claim: Claim, table: Shape, block: int) -> Turns:
        settings = self._settings
        maker = events.Maker(
            self._service, self._feed, table.content, claim.history, claim.adopted, settings.partitions
        )
        reader = Reader(reads, table, self.name, settings.page, block)
        shelf = self._shelf(writes, claim)
        return Turns(
            Cursor(claim.taken.places), reader, maker, self._metrics, self._clock, fresh=self._fresh, shelf=shelf,
            replay=Replay(shelf, reader, maker, self._clock, settings.page, noted=self._noted),
        )  # fmt: skip

    def _shelf(self, writes: Connection, claim: Claim) -> Shelf:
        settings = self._settings
        # On the connection of the saves: two that lock the same buckets in other orders would wait for each other.
        ledger = HeldLedger(writes, settings.schema, self.name, lambda: claim.epochs)
        return Shelf(
            ledger, self._metrics, self._clock, feed=self.name,
            limits=Limits(settings.held_key_rows, settings.held_rows), on_refused=settings.on_refused,
            hold_after=settings.hold_after, suspicion=claim.taken.suspicion,
        )  # fmt: skip

    def _session_of(self, claim: Claim, turns: Turns) -> Session:
        settings = self._settings
        cleaner = None
        if self._feed.own and settings.retention > 0:
            cleaner = Cleaner(self._database, settings.schema, self.name, settings.retention, self._metrics)
        lost = self._metrics.lost.labels(self.name).inc
        return Session(
            claim, turns, Holding(claim, turns, self._ledger, self._watch, lost), self._ledger, self._broker,
            topics=self._topics,
            timing=Timing(settings.lease, settings.broker.timeout),
            pace=Pace(
                self._clock, settings.page, drain_rate=settings.drain_rate, max_latency=settings.max_db_latency
            ),
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
