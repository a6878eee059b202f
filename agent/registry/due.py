"""Which services are to be read from Consul, and in what order."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

from agent.registry.pace import Pace
from agent.runtime.backoff import Backoff

CALM = 0.05
"""Seconds before services are read that only may have changed: in most cases the checks tell meanwhile which one did,
and reading a hundred others first, or always, would be most of what an agent does."""
PACE = 0.005
"""Seconds between two of those; ``CALM`` more while others are urgent."""
BURST, RATE = 200, 140.0
"""Reads in a row after a rest, and reads a second while changes go on and on; all of 100 services are read in less than
a second all the same."""

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
        self._resting = False
        """One of the rest is being read; a second one could keep what is urgent waiting."""
        self._turn = 0.0
        """From when on one of the rest may be read, by the loop's clock."""
        self._news = asyncio.Event()
        self._pace = Pace(BURST, RATE)

    def __len__(self) -> int:
        return len(self._urgent.keys() | self._rest.keys() | self._held)

    def want(self, names: Iterable[str], *, urgent: bool = False) -> None:
        """Have these read, once more if they are being read just now."""
        if not self._rest and not self._resting:
            self._turn = _now() + CALM
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

    async def read(self, read: Read) -> None:
        """Read one service after the other until cancelled; several such tasks may run."""
        backoff = Backoff(0.2, 3.0)
        while True:
            if pause := self._pace.wait():
                await asyncio.sleep(pause)
            name, urgent = await self._take()
            try:
                done = await read(name)
            finally:
                self._give(name, urgent)
            if done:
                backoff.reset()
            else:
                self.want((name,), urgent=urgent)
                await asyncio.sleep(backoff.next())

    async def _take(self) -> tuple[str, bool]:
        """The next to read, and whether it is urgent; waits for one."""
        while True:
            late = _now() - self._turn
            urgent = self._first(self._urgent)
            rest = None if self._resting else self._first(self._rest)
            if rest is not None and late >= (CALM if urgent else 0):
                del self._rest[rest]
                self._held.add(rest)
                self._resting = True
                return rest, False
            if urgent is not None:
                del self._urgent[urgent]
                self._held.add(urgent)
                return urgent, True
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if rest is None else -late):
                    await self._news.wait()

    def _give(self, name: str, urgent: bool) -> None:
        self._held.discard(name)
        if not urgent:
            self._resting = False
            self._turn = _now() + PACE
        self._news.set()

    def _first(self, queue: dict[str, None]) -> str | None:
        return next((name for name in queue if name not in self._held), None)


def _now() -> float:
    return asyncio.get_running_loop().time()
