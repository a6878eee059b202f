"""Something that is to be done once at its place in the order of start."""

import asyncio
from collections.abc import Awaitable, Callable

from agent.runtime.component import Ready


class Once:
    """A component that does one thing when its turn comes and is ready when it is done."""

    stop_budget = 1.0

    def __init__(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._act = act

    async def run(self, ready: Ready) -> None:
        """Act, then wait for the end."""
        await self._act()
        ready()
        await asyncio.Event().wait()
