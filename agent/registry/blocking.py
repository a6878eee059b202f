"""Consul's blocking queries as an endless stream of answers, with the rules for the index in one place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agent.registry.client import Client
from agent.registry.pace import Pace
from agent.runtime.backoff import Backoff
from agent.runtime.errors import PillionError, Transient

T = TypeVar("T")

WAIT = 30.0
"""Seconds that Consul may hold a question; a Consul that hangs is noticed a few seconds after that, one that is gone
by its socket."""
PAUSE = 0.02
"""Least seconds between two questions: a burst of changes becomes one answer."""
BURST, RATE = 20, 10.0
"""Questions in a row after a rest, and questions a second when every one is answered at once, as it is for a service
whose instances flap: in a large one an answer has hundreds of kilobytes."""
LOOK = 1.0
"""Seconds after which a waiting question is given up when the token is another one by then."""

Ask = Callable[[int, float], Awaitable[tuple[int, T]]]
"""(index, wait) → (new index, answer); one of ``Client``'s reads."""


async def follow(
    client: Client,
    ask: Ask[T],
    seen: Callable[[T], Awaitable[None]],
    failed: Callable[[PillionError], None],
    *,
    streamed: bool = False,
) -> None:
    """Give ``seen`` the present answer, then each newer one; repeated answers may come. Ends only by
    cancellation.

    The index is dropped after any error, and when it goes backwards: Consul then began anew, and an old
    index would block for the full wait although everything changed. It never stays 0, which would not block
    at all. ``failed`` is told each error, also one that ``seen`` raises; the next try comes after a growing delay of at
    most 3 s.

    ``streamed``: one that waits can be answered by Consul's streaming backend, which knows no refusal (seen with 1.20):
    for a token that is deleted it gives what it knew, or an empty list with a lower index, in place of an error. So an
    answer that is not newer is not believed, but asked for again without waiting. The others always go to the servers'
    store, which judges a token when it is asked: what waits then is still answered, what is asked next is refused.
    """
    backoff, pace = Backoff(0.2, 3.0), Pace(BURST, RATE)
    index = 0
    while True:
        try:
            new, answer = await _answer(client, ask(index, WAIT if index else 0.0))
            if new < index:
                client.broken()
            else:
                await seen(answer)
        except _RenewedError:
            index = 0
            continue
        except PillionError as error:
            index = 0
            failed(error)
            await asyncio.sleep(backoff.next(error.delay if isinstance(error, Transient) else None))
            continue
        backoff.reset()
        if streamed or new != index:
            index = max(new, 1) if new > index or not index else 0
        await asyncio.sleep(max(PAUSE, pace.wait()))


class _RenewedError(Exception):
    """The token is another one than that with which the question was asked."""


async def _answer(client: Client, asked: Awaitable[T]) -> T:
    """The answer; raises _RenewedError when the token changes while it is waited for."""
    task = asyncio.ensure_future(asked)
    try:
        credentials = client.credentials
        while not (await asyncio.wait({task}, timeout=LOOK if credentials else None))[0]:
            if client.credentials != credentials:
                raise _RenewedError
        return task.result()
    finally:
        if task.cancel():
            await asyncio.wait({task})
