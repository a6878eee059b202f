"""Waiting for conditions, for all tests."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], within: float = 30.0, every: float = 0.02) -> T:
    """Wait until the condition's value is true and return it; an AssertionError from it counts as not yet.

    Raises AssertionError with the last value seen when it is not true ``within`` seconds. Those are for a machine so
    busy that it stops a process for seconds, not a claim: a test of how soon something comes says its own.
    """
    deadline = time.monotonic() + within
    while True:
        last: object = None
        try:
            value = condition()
            result = await value if inspect.isawaitable(value) else value
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s; last seen: {last!r}")
        await asyncio.sleep(every)
