"""A page is read while the one before it is on its way, and used only where it fits."""

import asyncio
from typing import Any, cast

import pytest

from agent.outbox.ahead import MOST, Ahead, following
from agent.outbox.cursor import Walk
from agent.outbox.events import blank
from agent.outbox.reader import Page, Reader
from agent.outbox.snapshot import Snapshot
from agent.runtime.errors import Transient

BASE, TARGET = Snapshot(3, 3), Snapshot(9, 9)
EVERY = frozenset(range(64))


def walk(after: int, **more: Any) -> Walk:
    return Walk(EVERY, BASE, TARGET, after, **more)


def page(*ids: int, size: int = 10, whole: bool = False) -> Page:
    return Page([{"id": each, "body": b"x" * size} for each in ids], None, whole, 5)


class Pages:
    """A reader that answers when it is told to."""

    largest = 1000

    def __init__(self) -> None:
        self.asked: list[Walk] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.cancelled = False

    async def walk(self, walk: Walk) -> Page:
        self.asked.append(walk)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return page(walk.after + 1)


def ahead(pages: Pages) -> Ahead:
    return Ahead(
        cast("Reader", pages),
        lambda rows: [(blank({"bucket": 3, "key": None}, row["id"]), None) for row in rows],
    )


async def test_the_next_page_is_read_during_the_body_and_then_not_again() -> None:
    pages = Pages()
    reads = ahead(pages)
    async with reads.reading(walk(7)):
        await asyncio.sleep(0)
        assert pages.asked == [walk(7)]
        pages.go.set()
    read, made = await reads.walk(walk(7))
    assert (read.rows[0]["id"], made[0][0].row) == (8, 8)
    assert len(pages.asked) == 1
    await reads.walk(walk(7))
    assert len(pages.asked) == 2, "a page is used once"


@pytest.mark.parametrize("other", [walk(8), walk(7, until=9), Walk(frozenset({1}), BASE, TARGET, 7)])
async def test_another_walk_is_read_anew(other: Walk) -> None:
    pages = Pages()
    pages.go.set()
    reads = ahead(pages)
    async with reads.reading(walk(7)):
        pass
    await reads.walk(other)
    assert pages.asked == [walk(7), other]


async def test_a_page_is_read_anew_when_the_broker_takes_other_sizes() -> None:
    pages = Pages()
    pages.go.set()
    reads = ahead(pages)
    async with reads.reading(walk(7)):
        pass
    pages.largest = 2000
    await reads.walk(walk(7))
    assert len(pages.asked) == 2


async def test_what_was_read_ahead_outlives_a_poll_in_between() -> None:
    pages = Pages()
    pages.go.set()
    reads = ahead(pages)
    async with reads.reading(walk(7)):
        pass
    async with reads.reading(None):
        pass
    await reads.walk(walk(7))
    assert len(pages.asked) == 1


async def test_what_the_body_raises_counts_and_the_reading_ends() -> None:
    pages = Pages()

    async def body() -> None:
        async with ahead(pages).reading(walk(7)):
            await asyncio.sleep(0)
            raise KeyError

    with pytest.raises(KeyError):
        await body()
    assert pages.cancelled


async def test_a_failed_reading_is_raised_once_the_body_is_done() -> None:
    pages = Pages()
    pages.error = Transient("the server is away")
    done: list[bool] = []

    async def body() -> None:
        async with ahead(pages).reading(walk(7)):
            pages.go.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done.append(True)

    with pytest.raises(Transient):
        await body()
    assert done


def test_nothing_is_read_behind_the_end_a_stopped_bucket_or_a_large_page() -> None:
    assert following(walk(0), page(1, 2), 2) == walk(2)
    assert following(walk(0), page(1, 2, whole=True), None) is None
    assert following(walk(0, until=5), page(1, 2), 2) is None
    assert following(walk(0), page(1, size=MOST + 1), 1) is None
