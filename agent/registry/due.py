"""Which services are to be read from Consul, and in what order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from agent.runtime.backoff import Backoff

CALM = 0.05
"""Seconds before services are read that only may have changed: in most cases the checks tell meanwhile which one did,
and reading a hundred others first, or always, would be most of what an agent does."""
PACE = 0.005
"""Seconds between two of those; ``CALM`` while others are urgent."""

Read = Callable[[str], Awaitable[bool]]
"""Reads a service and says whether that worked. Never raises."""


class Due:
    """Services to read: at once those that are known to have changed, little by little those that only may have.

    None is read twice at the same time: an older answer could then come after a newer one.
    """

    def __init__(self) -> None:
        self._urgent: dict[str, None] = {}
        self._rest: dict[str, None] = {}
        self._held: set[str] = set()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._urgent.keys() | self._rest.keys() | self._held)

    def want(self, names: Iterable[str], *, urgent: bool = False) -> None:
        """Have these read, once more if they are being read just now."""
        for name in names:
            if urgent:
                self._urgent[name] = None
                self._rest.pop(name, None)
            elif name not in self._urgent:
                self._rest[name] = None
        self._news.set()

    def drop(self, name: str) -> None:
        """Have this one not read."""
        self._urgent.pop(name, None)
        self._rest.pop(name, None)

    async def read_urgent(self, read: Read) -> None:
        """Read what is urgent, one service after the other, until cancelled. More than one such task may run."""
        backoff = Backoff(0.2, 3.0)
        while True:
            await self._read(read, backoff, await self._take(self._urgent), urgent=True)

    async def read_rest(self, read: Read) -> None:
        """Read what only may have changed, likewise; one task."""
        backoff = Backoff(0.2, 3.0)
        while True:
            while not self._rest:
                await self._some(self._rest)
                await asyncio.sleep(CALM)
            await self._read(read, backoff, await self._take(self._rest), urgent=False)
            await asyncio.sleep(CALM if self._urgent else PACE)

    async def _read(self, read: Read, backoff: Backoff, name: str, *, urgent: bool) -> None:
        try:
            done = await read(name)
        finally:
            self._held.discard(name)
            self._news.set()
        if done:
            backoff.reset()
        else:
            self.want((name,), urgent=urgent)
            await asyncio.sleep(backoff.next())

    async def _take(self, queue: dict[str, None]) -> str:
        name = await self._some(queue)
        del queue[name]
        self._held.add(name)
        return name

    async def _some(self, queue: dict[str, None]) -> str:
        """The first that is not being read; waits for one."""
        while True:
            for name in queue:
                if name not in self._held:
                    return name
            self._news.clear()
            await self._news.wait()
