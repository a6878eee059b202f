"""Rows that can't be read together: ever smaller portions are asked for, until what fails is found alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.outbox.database import ExhaustedError, Row, UnreadableError

LONGEST_PAGE = 32 * 1024 * 1024
"""Bytes of bodies in a page, at most one row more."""

TRIES = 5
"""How often a row is asked for over which PostgreSQL runs out of memory: most often it is others who take it."""

REST = 4.0
"""Seconds between two of them."""

Read = Callable[[Sequence[int]], Awaitable[list[Row]]]
"""The rows of these numbers in this order, fewer where they would be larger than a page."""


@dataclass(frozen=True)
class Unread:
    """A row that can't be read, whoever asks for it."""

    id: int
    why: str
    """As a clause that shows nothing of it."""


async def sift(
    read: Read, there: Read, ids: Sequence[int], rest: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> list[Row | Unread]:
    """These rows in this order, as far as they fit into a page.

    ``there`` reads no more of rows than that they are there. What it raises is raised, as is what ``read`` does where
    no row is to blame. ``rest`` waits for so many seconds.
    """
    found: list[Row | Unread] = []
    size = 0
    waiting = [ids] if ids else []
    while waiting and size < LONGEST_PAGE:
        part = waiting.pop()
        try:
            rows: Sequence[Row | Unread] = (
                await read(part) if len(part) > 1 else await _alone(read, there, part, rest)
            )
        except (UnreadableError, ExhaustedError):
            if len(part) == 1:
                raise
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
            continue
        found += rows
        size += sum(len(row["body"] or b"") for row in rows if not isinstance(row, Unread))
        if len(rows) < len(part):
            break
    return found


async def _alone(
    read: Read, there: Read, part: Sequence[int], rest: Callable[[float], Awaitable[None]]
) -> Sequence[Row | Unread]:
    why = ""
    for left in reversed(range(TRIES)):
        try:
            return await read(part)
        except UnreadableError as error:
            return [Unread(part[0], error.why)]
        except ExhaustedError as error:
            why = error.why
        # A server that has no memory for anything has none for this row either.
        await there(part)
        if left:
            await rest(REST)
    return [Unread(part[0], why)]
