"""How many large reviews are read and answered at once: what bounds the memory of a replica."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LARGE = 64 * 1024
"""Bytes from which a body waits for its turn. A pod has a few KiB; so much a connection's own buffers hold too."""
AT_ONCE = 2
"""Large bodies that are held at the same time."""
WAITING = 16
"""Large bodies that may wait for their turn; those that come then are turned away at once."""
PATIENCE = 5.0
"""Seconds that a turn is waited for: the API server waits for no webhook longer than 30 s, by default for 10 s."""


class BusyError(Exception):
    """There was no turn to be had; the message is a sentence."""


class Turns:
    """Gives turns. Small bodies need none, so that large ones never hold up what is ordinary."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """``patience`` as ``PATIENCE``."""
        self._patience = patience
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def of(self, length: int | None) -> AsyncIterator[None]:
        """One turn for a body of ``length`` bytes, None where nobody said it. Raises BusyError."""
        if length is not None and length < LARGE:
            yield
            return
        await self._taken()
        try:
            yield
        finally:
            self._free.release()

    async def _taken(self) -> None:
        if self._waiting >= WAITING:
            raise BusyError(f"{WAITING} other large reviews wait already; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise BusyError(
                f"other large reviews were not answered within {self._patience:g} s; try again"
            ) from None
        finally:
            self._waiting -= 1
