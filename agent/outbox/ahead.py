"""The page behind the one that is on its way, read and made into events meanwhile.

A walk's tick is fixed, so its next page is the same whenever it is read, and reading moves no place. The page is used
only for exactly the walk that was decided then: if anything changed, it is read anew.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from agent.outbox.cursor import Walk
from agent.outbox.database import Row
from agent.outbox.events import Event, RefusedError
from agent.outbox.reader import Page, Reader

Made = list[tuple[Event, RefusedError | None]]
"""Events in order of row, each with why it is none; None where it is one."""

MOST = 4 * 1024 * 1024
"""Bytes of bodies in a page behind which nothing is read ahead: two large pages would be in memory at once."""


class Ahead:
    """One page ahead at the most."""

    def __init__(self, reader: Reader, make: Callable[[Iterable[Row]], Made]) -> None:
        """``make`` makes rows into events; it decides nothing that may be another when they are sent."""
        self._reader = reader
        self._make = make
        self._kept: tuple[Walk, int, Page, Made] | None = None

    async def walk(self, walk: Walk) -> tuple[Page, Made]:
        """The walk's page and its events; raises what the reader raises."""
        kept, self._kept = self._kept, None
        # What the broker takes may have changed with the link, and with it which bodies are there.
        if kept is not None and kept[:2] == (walk, self._reader.largest):
            return kept[2:]
        return await self._read(walk)

    async def _read(self, walk: Walk) -> tuple[Page, Made]:
        page = await self._reader.walk(walk)
        return page, self._make(page.rows)

    @asynccontextmanager
    async def reading(self, walk: Walk | None) -> AsyncIterator[None]:
        """Read this walk's page during the body and until after it; None: nothing. Raises what the body raises, else
        what the reader does."""
        if walk is None:
            # A poll in between changes no tick: what was read ahead still fits, or is read anew.
            yield
            return
        self._kept = None
        largest = self._reader.largest
        task = asyncio.create_task(self._read(walk), name="outbox reads ahead")
        try:
            yield
            self._kept = (walk, largest, *await task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()


def following(walk: Walk, page: Page, last: int | None) -> Walk | None:
    """The walk that comes after the page's if all of it is published; None where none is to be read ahead."""
    if last is None or walk.until is not None or page.bytes > MOST:
        return None
    return Walk(walk.buckets, walk.base, walk.target, last)
