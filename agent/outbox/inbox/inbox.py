"""The inbox as a component: it takes its share of the partitions and holds each until it must give it up."""

import asyncio
import functools
import math
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import structlog
from opentelemetry.trace import Tracer

from agent.config.sections.inbox import Inbox as Settings
from agent.outbox.inbox import poster
from agent.outbox.inbox.book import Book
from agent.outbox.inbox.memory import Memory
from agent.outbox.inbox.metrics import Metrics
from agent.outbox.inbox.session import DRAIN, Parts
from agent.outbox.inbox.shares import Place, Pulse
from agent.outbox.inbox.sources import Source
from agent.outbox.inbox.turns import Turns, rest
from agent.outbox.leases import Lease
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError, Transient
from agent.runtime.health import Health

log = structlog.get_logger(__name__)


class Opens(Protocol):
    """Opens the book."""

    def opened(self) -> AbstractAsyncContextManager[Book]:
        """The book for the body; raises Transient or Permanent."""


def places(settings: Settings) -> tuple[Place, ...]:
    """All partitions of all topics."""
    return tuple(
        Place(each.topic, number, each.path, each.partitions)
        for each in settings.topics
        for number in range(each.partitions)
    )


class Inbox:
    """See the module. It waits for nothing outside: what is away is tried again for ever."""

    name = "inbox"
    stop_budget = DRAIN + 4.0

    def __init__(
        self,
        settings: Settings,
        *,
        identity: str,
        service: str,
        source: Source,
        books: Callable[[str, Sequence[Place]], Opens],
        health: Health,
        metrics: Metrics,
        tracer: Tracer | None,
        clock: Callable[[], float],
    ) -> None:
        """``identity`` is this instance's stable id: a process that starts under it takes over at once what its dead
        predecessor had. ``service`` is the address ``http://HOST:PORT``. ``books`` makes the opener of the book from
        this process's own id and the partitions. ``clock`` returns seconds and goes on while the host sleeps.
        """
        self._settings = settings
        self._me = f"{identity}/{secrets.token_hex(6)}"
        self._service = service
        self._source = source
        self._places = places(settings)
        self._books = books(self._me, self._places)
        self._health = health
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._memory = Memory()
        self._stopping = asyncio.Event()
        self._problems: dict[str, str] = {}
        former = f"{identity}/"
        self._pulse = Pulse(settings.lease, clock, lambda name: name.startswith(former) and name != self._me)

    async def run(self, ready: Ready) -> None:
        """See ``runtime.Component``."""
        life = asyncio.create_task(self._live(), name="inbox life")
        ready()
        try:
            await asyncio.shield(life)
        finally:
            self._stopping.set()
            await asyncio.wait([life], timeout=DRAIN + 3)
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            self._health.stopped()

    async def _live(self) -> None:
        backoff = Backoff(0.2, 10.0)
        async with poster.session() as session:
            asking = poster.Poster(
                session, self._service, self._settings.timeout, self._source.name, self._tracer
            )
            while not self._stopping.is_set():
                try:
                    async with self._books.opened() as book:
                        await self._turns(book, asking).run(backoff)
                except PillionError as error:
                    self.tell("book", str(error))
                    log.warning("inbox.interrupted", reason=str(error))
                    await rest(
                        self._stopping, backoff.next(error.delay if isinstance(error, Transient) else None)
                    )

    def _turns(self, book: Book, asking: poster.Poster) -> Turns:
        settings = self._settings
        length = math.inf if book.alone else settings.lease
        parts = Parts(
            settings, book, asking.post, self._memory, asyncio.Semaphore(settings.concurrency),
            Lease(length, self._clock, self._clock()), self._metrics, self._source.keep_every,
            functools.partial(self.tell, "service"),
        )  # fmt: skip
        return Turns(
            parts, self._me, self._places, self._source, self._pulse,
            clock=self._clock, stopping=self._stopping, tell=self.tell,
        )  # fmt: skip

    def tell(self, what: str, problem: str) -> None:
        """Say on the board what is in the way of ``what``; empty when nothing is."""
        self._problems[what] = problem
        said = [text for text in self._problems.values() if text]
        if said:
            self._health.degraded("; ".join(said))
        else:
            self._health.ok()
