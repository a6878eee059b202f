"""The time with one open book: beats, and the partitions that are taken and given up with them."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from agent.outbox.inbox.book import Hold
from agent.outbox.inbox.holding import Holding
from agent.outbox.inbox.ledger import PORTION
from agent.outbox.inbox.session import DRAIN, Parts
from agent.outbox.inbox.shares import Place, Pulse, View, share
from agent.outbox.inbox.sources import Source
from agent.outbox.leases import LostError
from agent.runtime.backoff import Backoff
from agent.runtime.errors import PillionError

log = structlog.get_logger(__name__)

PRUNE = 60.0
"""Seconds between two portions that are forgotten."""

BEATS = 6
"""Beats in a lease."""


class Turns:
    """See the module."""

    def __init__(
        self,
        parts: Parts,
        me: str,
        places: Sequence[Place],
        source: Source,
        pulse: Pulse,
        *,
        clock: Callable[[], float],
        stopping: asyncio.Event,
        tell: Callable[[str, str], None],
    ) -> None:
        """``me`` is this process's own id; ``tell`` is told what is in the way of what."""
        self._parts = parts
        self._book = parts.book
        self._me = me
        self._places = places
        self._source = source
        self._pulse = pulse
        self._clock = clock
        self._stopping = stopping
        self._tell = tell
        self._holdings: dict[Place, Holding] = {}
        self._pruned = clock()

    async def run(self, backoff: Backoff) -> None:
        """Until the inbox stops; raises Transient or Permanent when the book is gone. ``backoff`` is told that it is
        there."""
        pause = self._parts.settings.lease / BEATS
        try:
            while not self._stopping.is_set():
                await self.turn()
                self._tell("book", "")
                backoff.reset()
                await self._prune()
                await rest(self._stopping, pause)
            await self._leave(pause)
        finally:
            await self._drop()

    async def turn(self) -> None:
        """One beat, and what follows from what it shows."""
        view = await self._beat()
        await self._sweep()
        alive = self._pulse.alive(view.beats)
        others = {place: owner for place, owner in view.owners.items() if owner != self._me}
        # What is written down as its own, and not worked on, is left from before a connection was lost. Nobody else may
        # take it while this instance lives: it is claimed anew, and given up afterwards where it is too much.
        strays = [place for place in view.owners if place not in others and place not in self._holdings]
        held = {**others, **dict.fromkeys([*self._holdings, *strays], self._me)}
        claims, gives = share(self._me, self._places, held, alive)
        for place in [*strays, *claims]:
            former = view.owners.get(place)
            hold = await self._book.claim(place, former, view.beats.get(former or ""))
            if hold is not None:
                self._holdings[place] = self._begin(hold)
        for place in gives:
            if place in self._holdings:
                self._holdings[place].stopping.set()
        if gone := [name for name in view.beats if name not in alive and name != self._me]:
            await self._book.leave(gone)
        self._count()

    async def _beat(self) -> View:
        sent = self._clock()
        view = await self._book.beat()
        if not self._book.alone:
            for place, holding in self._holdings.items():
                if view.owners.get(place) != self._me:
                    holding.task.cancel()
                    log.warning("inbox.lost", topic=place.name, reason="another instance has it")
        # Only now: what was lost must not be worked on under a lease that counts again.
        self._parts.lease.renew(sent)
        return view

    def _begin(self, hold: Hold) -> Holding:
        return Holding(self._parts, hold, self._source, lambda text: self._tell(hold.place.name, text))

    async def _sweep(self) -> None:
        """Take leave of the partitions that ended."""
        for place, holding in list(self._holdings.items()):
            if not holding.task.done():
                continue
            del self._holdings[place]
            self._tell(place.name, "")
            try:
                if not holding.task.cancelled():
                    holding.task.result()
            except LostError as error:
                log.warning("inbox.lost", topic=place.name, reason=str(error))
            await self._book.release(holding.hold)

    def _count(self) -> None:
        for topic in {place.topic for place in self._places}:
            held = sum(place.topic == topic for place in self._holdings)
            self._parts.metrics.partitions.labels(topic).set(held)

    async def _prune(self) -> None:
        window = self._parts.settings.window
        if window and self._clock() - self._pruned >= PRUNE and await self._book.prune(window) < PORTION:
            self._pruned = self._clock()

    async def _leave(self, pause: float) -> None:
        """Give everything back in order: what the service works on is waited for, and the beats go on meanwhile."""
        ends = self._clock() + DRAIN
        for holding in self._holdings.values():
            holding.stopping.set()
        while self._holdings and self._clock() < ends:
            await asyncio.wait([each.task for each in self._holdings.values()], timeout=min(pause, 1.0))
            await self._beat()
            await self._sweep()
        await self._drop()
        await self._sweep()
        await self._book.leave([self._me])

    async def _drop(self) -> None:
        tasks = [each.task for each in self._holdings.values()]
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception) and not isinstance(error, PillionError):
                raise error


async def rest(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
