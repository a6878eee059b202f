"""Records what was done: what waits at one moment is one statement."""

import asyncio

from agent.outbox.inbox.book import Book, Hold
from agent.runtime.errors import PillionError

MOST = 500
"""Messages in one statement."""


class Recorder:
    """Of one partition. ``run`` must run for ``done`` to get on."""

    def __init__(self, book: Book, hold: Hold) -> None:
        self._book = book
        self._hold = hold
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._some = asyncio.Event()

    async def done(self, digest: bytes) -> None:
        """Wait until it is on record; raises as ``Book.done``."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((digest, future))
        self._some.set()
        await future

    async def run(self) -> None:
        """Record for ever."""
        while True:
            await self._some.wait()
            portion, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if not self._waiting:
                self._some.clear()
            try:
                await self._book.done(self._hold, [digest for digest, _ in portion])
            except PillionError as error:
                _fail(portion, error)
            except asyncio.CancelledError:
                for _, future in portion:
                    future.cancel()
                raise
            else:
                for _, future in portion:
                    if not future.done():
                        future.set_result(None)


def _fail(portion: list[tuple[bytes, asyncio.Future[None]]], error: PillionError) -> None:
    for _, future in portion:
        if not future.done():
            future.set_exception(error)
