"""A partition with one connection to its broker: from what the broker hands out to its acknowledgement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from agent.config.sections.inbox import Inbox
from agent.outbox.inbox.book import Book, Hold
from agent.outbox.inbox.lines import Lines
from agent.outbox.inbox.memory import Memory
from agent.outbox.inbox.message import Message, Parcel, message
from agent.outbox.inbox.metrics import Metrics
from agent.outbox.inbox.recorder import Recorder
from agent.outbox.inbox.sources import Stream
from agent.outbox.inbox.verdict import Kind, Verdict, spent
from agent.outbox.leases import Lease, LostError
from agent.runtime.backoff import Backoff

log = structlog.get_logger(__name__)

LOOK = 1.0
"""Seconds between two looks for dead letters that are to be tried again."""

DRAIN = 8.0
"""Seconds that a stop waits for what the service works on."""

Post = Callable[[Message, str, str], Awaitable[Verdict]]
"""One try: message, path, topic."""


@dataclass(frozen=True)
class Letter:
    """A dead letter to try again, by its number."""

    number: int


Item = Message | Letter


@dataclass(frozen=True)
class Parts:
    """What the sessions of an inbox share."""

    settings: Inbox
    book: Book
    post: Post
    memory: Memory
    slots: asyncio.Semaphore
    """As many messages may be at the service at once."""
    lease: Lease
    metrics: Metrics
    keep_every: float
    tell: Callable[[str], None]
    """Told what the service is waited for, empty when it is not."""


class Session:
    """See the module."""

    def __init__(self, parts: Parts, hold: Hold, stream: Stream, stopping: asyncio.Event) -> None:
        self._parts = parts
        self._hold = hold
        self._stream = stream
        self._stopping = stopping
        self._lines: Lines[Item] = Lines()
        self._workers: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self._parcels: dict[int, Parcel] = {}
        self._letters: set[int] = set()
        self._parked: set[str] = set()
        self._recorder = Recorder(parts.book, hold)

    async def run(self) -> None:
        """Work until told to stop; raises Transient or Permanent when it can't go on, LostError when the partition is
        another instance's."""
        if self._parts.settings.dead == "park-key":
            self._parked = set(await self._parts.book.parked(self._hold))
        quiet = [self._task(self._recorder.run(), "record"), self._task(self._keep(), "keep")]
        loops = [self._task(self._fetch(), "fetch"), self._task(self._replay(), "replay")]
        stop = self._task(self._stopping.wait(), "stop")
        try:
            await asyncio.wait([*quiet, *loops, stop, self._failed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ending.set()
            await _end([*loops, stop])
            await self._drain()
            await _end(quiet)
        for each in (self._failed, *quiet, *loops):
            if each.done() and not each.cancelled() and (error := each.exception()) is not None:
                raise error

    def _task(self, work: Awaitable[object], what: str) -> "asyncio.Task[None]":
        async def run() -> None:
            await work

        return asyncio.create_task(run(), name=f"inbox {self._hold.place.name} {what}")

    async def _drain(self) -> None:
        # A connection or lease that went leaves time for what the service works on: its answer is worth remembering.
        within = DRAIN if self._stopping.is_set() else self._parts.settings.timeout + 1
        if self._workers:
            await asyncio.wait(self._workers, timeout=within)
        await _end(list(self._workers))

    async def _fetch(self) -> None:
        while True:
            came = [message(parcel) for parcel in await self._stream.fetch()]
            for each in came:
                self._parcels[each.parcel.number] = each.parcel
            seen = await self._parts.book.seen([each.digest for each in came])
            for each in came:
                if each.digest in seen:
                    await self._settle(each, "duplicate")
                else:
                    self._add(_line(each), each)

    async def _replay(self) -> None:
        while True:
            for each in await self._parts.book.pending(self._hold):
                if each.number not in self._letters:
                    self._letters.add(each.number)
                    key = f"k{each.key}" if each.key is not None else f"d{each.number}"
                    self._add(key, Letter(each.number))
            await asyncio.sleep(LOOK)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._parts.keep_every)
            await self._stream.keep(list(self._parcels.values()))

    def _add(self, key: str, item: Item) -> None:
        if self._lines.add(key, item):
            worker = asyncio.create_task(self._work(key), name=f"inbox {self._hold.place.name} line")
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        error = None if worker.cancelled() else worker.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _work(self, key: str) -> None:
        item = self._lines.first(key)
        while item is not None and not self._ending.is_set():
            settled = await (self._letter(item) if isinstance(item, Letter) else self._message(item))
            if not settled:
                return
            item = self._lines.finish(key)

    async def _message(self, each: Message) -> bool:
        """Bring one message to its end; whether it came to one before the session ends."""
        parts = self._parts
        if parts.memory.knows(each.digest):
            if parts.memory.owes(each.digest):
                await self._record(each)
            await self._settle(each, "duplicate")
            return True
        if each.key is not None and each.key in self._parked:
            if await parts.book.behind(self._hold, each):
                await self._aside(each, "an earlier message of its key is a dead letter")
                return True
            self._parked.discard(each.key)
        verdict, attempts = await self._tried(each)
        if verdict is None:
            return False
        if verdict.kind is Kind.DONE:
            parts.memory.did(each.digest)
            await self._record(each)
            await self._settle(each, "done")
            return True
        await parts.book.bury(self._hold, each, verdict.reason, attempts)
        if parts.settings.dead == "park-key" and each.key is not None:
            self._parked.add(each.key)
        await self._aside(each, verdict.reason)
        return True

    async def _letter(self, letter: Letter) -> bool:
        """The same for a dead letter that is tried again."""
        parts = self._parts
        each = await parts.book.exhume(letter.number)
        if each is not None:
            verdict, _ = await self._tried(each)
            if verdict is None:
                return False
            if verdict.kind is Kind.DONE:
                parts.memory.did(each.digest)
                await parts.book.revived(self._hold, letter.number, each.digest)
                parts.memory.recorded(each.digest)
                self._count("done")
            else:
                await parts.book.relapsed(self._hold, letter.number, verdict.reason)
                self._count("dead")
        self._letters.discard(letter.number)
        return True

    async def _tried(self, each: Message) -> tuple[Verdict | None, int]:
        """Try until the service has done or refused it, or its tries are spent; no verdict where the session ends."""
        settings, attempts = self._parts.settings, 0
        backoff = Backoff(settings.retry_first, settings.retry_last)
        while True:
            verdict = await self._once(each)
            if verdict is None:
                return None, attempts
            if verdict.kind is Kind.AWAY:
                self._parts.tell(verdict.reason)
            elif verdict.kind is Kind.AGAIN:
                self._count("again")
                tried = await self._parts.book.failed(self._hold, each.digest, verdict.reason)
                attempts = tried.attempts
                if why := spent(attempts, tried.age, settings.max_attempts, settings.max_age):
                    return Verdict(Kind.DEAD, f"{verdict.reason}, {why}"), attempts
            else:
                self._parts.tell("")
                return verdict, attempts
            if await self._rest(backoff.next(verdict.delay)):
                return None, attempts

    async def _once(self, each: Message) -> Verdict | None:
        place = self._hold.place
        async with self._parts.slots:
            if self._ending.is_set():
                return None
            if self._parts.lease.left <= 0:
                raise LostError(
                    f"the lease of {place.name} ran out before a beat arrived; another may have it"
                )
            with self._parts.metrics.took(place.topic):
                return await self._parts.post(each, place.path, place.name)

    async def _rest(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return False
        return True

    async def _record(self, each: Message) -> None:
        await self._recorder.done(each.digest)
        self._parts.memory.recorded(each.digest)

    async def _settle(self, each: Message, result: str) -> None:
        await self._stream.done(each.parcel)
        self._forget(each)
        self._count(result)

    async def _aside(self, each: Message, reason: str) -> None:
        await self._stream.dead(each.parcel)
        self._forget(each)
        self._count("dead")
        log.warning("inbox.dead_letter", topic=self._hold.place.name, id=each.id[:200], reason=reason)

    def _forget(self, each: Message) -> None:
        self._parcels.pop(each.parcel.number, None)

    def _count(self, result: str) -> None:
        self._parts.metrics.messages.labels(self._hold.place.topic, result).inc()


def _line(each: Message) -> str:
    # Without a key there is no order: a line of its own, which it shares with its duplicates only.
    return f"k{each.key}" if each.key is not None else f"n{each.digest.hex()}"


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
