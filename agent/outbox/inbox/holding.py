"""The time that this instance holds one partition: connections to its broker, one after the other."""

import asyncio
from collections.abc import Callable

import structlog

from agent.outbox.inbox.book import Hold
from agent.outbox.inbox.session import Parts, Session
from agent.outbox.inbox.sources import Source
from agent.outbox.leases import LostError
from agent.runtime.backoff import Backoff
from agent.runtime.errors import PillionError

log = structlog.get_logger(__name__)


class Holding:
    """One partition."""

    def __init__(self, parts: Parts, hold: Hold, source: Source, tell: Callable[[str], None]) -> None:
        """``tell`` is told what is in the way, empty when nothing is."""
        self.hold = hold
        self.stopping = asyncio.Event()
        self._parts = parts
        self._source = source
        self._tell = tell
        self.task = asyncio.create_task(self._run(), name=f"inbox {hold.place.name}")

    async def _run(self) -> None:
        """Until told to stop; raises LostError where the partition is another's."""
        backoff = Backoff(0.2, 10.0)
        while not self.stopping.is_set():
            if self._parts.lease.left <= 0:
                raise LostError(f"the lease of {self.hold.place.name} ran out")
            try:
                await self._once(backoff)
            except LostError:
                raise
            except PillionError as error:
                self._tell(f"{self.hold.place.name}: nothing is lost and it is tried again: {error}")
                log.warning("inbox.interrupted", topic=self.hold.place.name, reason=str(error))
                await self._rest(backoff.next(error.delay if hasattr(error, "delay") else None))

    async def _once(self, backoff: Backoff) -> None:
        place = self.hold.place
        async with self._source.open(place, alone=self._parts.book.alone) as stream:
            self._tell("")
            backoff.reset()
            log.info("inbox.reading", topic=place.name, epoch=self.hold.epoch)
            await Session(self._parts, self.hold, stream, self.stopping).run()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
