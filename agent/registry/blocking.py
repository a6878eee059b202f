"""Consul's blocking queries as an endless stream of answers, with the rules for the index in one place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agent.registry.client import Client
from agent.runtime.backoff import Backoff
from agent.runtime.errors import PillionError, Transient

T = TypeVar("T")

WAIT = 30.0
"""Seconds that Consul may hold a question; a dead connection is noticed a few seconds after that."""
PAUSE = 0.02
"""Least seconds between two questions: a burst of changes becomes one answer."""

Ask = Callable[[int, float], Awaitable[tuple[int, T]]]
"""(index, wait) → (new index, answer); one of ``Client``'s reads."""


async def follow(
    client: Client,
    ask: Ask[T],
    seen: Callable[[T], Awaitable[None]],
    failed: Callable[[PillionError], None],
) -> None:
    """Give ``seen`` the present answer, then each newer one; repeated answers may come. Ends only by
    cancellation.

    The index is dropped after any error, and when it goes backwards: Consul then began anew, and an old
    index would block for the full wait although everything changed. It never stays 0, which would not block
    at all. ``failed`` is told each error; the next try comes after a growing delay of at most 3 s.
    """
    backoff = Backoff(0.2, 3.0)
    index = 0
    while True:
        try:
            new, answer = await ask(index, WAIT if index else 0.0)
        except PillionError as error:
            index = 0
            failed(error)
            await asyncio.sleep(backoff.next(error.delay if isinstance(error, Transient) else None))
            continue
        backoff.reset()
        if new < index:
            client.broken()
        index = 0 if new < index else max(new, 1)
        await seen(answer)
        await asyncio.sleep(PAUSE)
