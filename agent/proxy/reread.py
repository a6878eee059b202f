"""Something that files hold, read again while the agent runs."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from agent.runtime.component import Ready
from agent.runtime.health import Health

log = structlog.get_logger(__name__)

T = TypeVar("T")
EVERY = 1.0
"""Seconds between two looks: no watch, since each costs one of the few inotify instances of a host."""


class Reread(Generic[T]):
    """Reads at once and then every second; what is no good leaves the last good value in use and is reported.

    ``read`` blocks and raises OSError, ``judge`` raises ValueError with a sentence for what is no good. ``take``
    gets each good value that differs from the one before; only such a one is judged.
    """

    stop_budget = 1.0

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        judge: Callable[[T], None],
        take: Callable[[T], None],
        *,
        first: T,
        health: Health,
    ) -> None:
        self.name = name
        self._read = read
        self._judge = judge
        self._take = take
        self._value = first
        self._health = health
        self._problem = ""

    async def run(self, ready: Ready) -> None:
        """Look for ever."""
        while True:
            await self.turn()
            ready()
            await asyncio.sleep(EVERY)

    async def turn(self) -> None:
        """Look once."""
        try:
            value = await asyncio.to_thread(self._look)
        except (OSError, ValueError) as error:
            self._tell(f"{error}; the last good one stays in use")
            return
        self._problem = ""
        self._health.ok()
        if value != self._value:
            self._value = value
            log.info(f"{self.name}.changed")
            self._take(value)

    def _look(self) -> T:
        value = self._read()
        if value != self._value:
            self._judge(value)
        return value

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log.warning(f"{self.name}.unreadable", problem=problem)
        self._problem = problem
        self._health.degraded(problem)
