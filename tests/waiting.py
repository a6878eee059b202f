"""Waiting for conditions, for all tests."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], within: float = 30.0, every: float = 0.02) -> T:
    """Wait until the condition's value is true and return it; an AssertionError from it counts as not yet.

    Raises AssertionError with the last value seen when it is not true ``within`` seconds, which is the last look's
    begin: who was put to sleep meanwhile looks once more. What a pause took longer than it should, when the machine
    was too busy to go on, is added to the time, up to twice that.
    """
    began = time.monotonic()
    late = 0.0
    while True:
        last: object = None
        asked = time.monotonic()
        try:
            value = condition()
            result = await value if inspect.isawaitable(value) else value
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        if asked > began + within + min(late, 2 * within):
            raise AssertionError(f"not true within {within} s; last seen: {last!r}")
        paused = time.monotonic()
        await asyncio.sleep(every)
        late += max(0.0, time.monotonic() - paused - every)
