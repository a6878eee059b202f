"""The page behind the one that is on its way, read meanwhile.

A walk's tick is fixed, so its next page is the same whenever it is read, and reading moves no place. The page is used
only for exactly the walk that was decided then: if anything changed, it is read anew.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.outbox.cursor import Walk
from agent.outbox.reader import Page, Reader

MOST = 4 * 1024 * 1024
"""Bytes of bodies in a page behind which nothing is read ahead: two large pages would be in memory at once."""


class Ahead:
    """One page ahead at the most."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: tuple[Walk, int, Page] | None = None

    async def walk(self, walk: Walk) -> Page:
        """The walk's page; raises what the reader raises."""
        kept, self._kept = self._kept, None
        # What the broker takes may have changed with the link, and with it which bodies are there.
        if kept is not None and kept[:2] == (walk, self._reader.largest):
            return kept[2]
        return await self._reader.walk(walk)

    @asynccontextmanager
    async def reading(self, walk: Walk | None) -> AsyncIterator[None]:
        """Read this walk's page during the body and until after it; None: nothing. Raises what the body raises, else
        what the reader does."""
        self._kept = None
        if walk is None:
            yield
            return
        largest = self._reader.largest
        task = asyncio.create_task(self._reader.walk(walk), name="outbox reads ahead")
        try:
            yield
            self._kept = walk, largest, await task
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
