"""A cell with one writer and any number of readers; a slow reader skips to the newest value."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest value of one piece of state.

    State travels between components in these cells only. The writer calls ``set``; an equal value is no
    change.
    """

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        """The newest value, without waiting."""
        return self._value

    @property
    def version(self) -> int:
        """Rises by one with every change; 0 is the initial value."""
        return self._version

    def set(self, value: T) -> None:
        """Replace the value and wake all readers, unless it equals the present one."""
        if value == self._value:
            return
        self._value = value
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changed(self, since: int) -> int:
        """Wait until the version differs from ``since``; return the present version."""
        while self._version == since:
            await self._changed.wait()
        return self._version

    async def until(self, condition: Callable[[T], bool]) -> T:
        """Wait for a value that meets the condition and return it; the present value counts."""
        while not condition(self._value):
            await self._changed.wait()
        return self._value

    async def values(self) -> AsyncIterator[T]:
        """Yield the present value, then each newer one; values that were replaced meanwhile are skipped."""
        while True:
            version = self._version
            yield self._value
            await self.changed(version)
