"""A page comes in one answer where its rows are small, and never larger than it may be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from agent.outbox import reader
from agent.outbox.cursor import Poll, Walk
from agent.outbox.database import Connection
from agent.outbox.reader import LONGEST_PAGE, Page, Reader
from agent.outbox.shape import Shape
from agent.outbox.snapshot import Snapshot

BASE, TARGET = Snapshot(3, 3), Snapshot(9, 9)
EVERY = frozenset(range(64))
SIZE = 100
SHARE = LONGEST_PAGE // SIZE


class Server:
    """A connection to a table whose bodies have these sizes; a body above what is asked for is not sent."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.said: list[str] = []
        self.flushed = 50
        self.largest_answer = 0

    def rows(self, longest: int, first: int, count: int) -> list[dict[str, Any]]:
        found = [
            {
                "id": number, "size": size, "body": b"x" * size if size <= longest else None, "wal": 40,
                "snapshot": str(TARGET), "flushed": self.flushed,
            }
            for number, size in enumerate(self.sizes, 1)
            if number > first
        ][:count]  # fmt: skip
        self.largest_answer = max(self.largest_answer, sum(len(row["body"] or b"") for row in found))
        return found

    async def fetch(self, _doing: str, sql: str, *given: Any) -> list[dict[str, Any]]:
        self.said.append(f"fetch {sql}")
        after, longest = (given[0], given[4]) if sql == "walk" else (0, given[4])
        return self.rows(longest, after, given[3])

    @asynccontextmanager
    async def pages(self, _doing: str, sql: str, *given: Any) -> AsyncIterator[Any]:
        self.said.append(f"portal {sql}")
        place = given[0] if sql == "walk" else 0
        server = self

        class Portal:
            async def take(self, count: int) -> list[dict[str, Any]]:
                nonlocal place
                taken = server.rows(given[4], place, count)
                place += len(taken)
                return taken

        yield Portal()

    async def value(self, _doing: str, sql: str, *_: Any) -> int:
        assert sql == reader.FLUSHED
        self.said.append("flushed?")
        return self.flushed


class Words:
    poll, walk = "poll", "walk"


def reading(server: Server) -> Reader:
    made = Reader(cast("Connection", server), cast("Shape", Words()), "ob", SIZE)
    made.largest = 1024 * 1024
    return made


def ids(page: Page) -> list[int]:
    return [row["id"] for row in page.rows]


async def test_small_rows_come_in_one_answer() -> None:
    server = Server(*[10] * 250)
    page = await reading(server).walk(Walk(EVERY, BASE, TARGET, 0))
    assert (ids(page), page.whole) == (list(range(1, 101)), False)
    page = await reading(server).walk(Walk(EVERY, BASE, TARGET, 200))
    assert (ids(page), page.whole) == (list(range(201, 251)), True)
    assert server.said == ["fetch walk", "fetch walk"]


async def test_a_page_ends_before_a_row_that_is_larger_than_its_share_and_the_next_begins_with_it() -> None:
    server = Server(*[10] * 5, SHARE + 1, 10)
    rows = reading(server)
    page = await rows.walk(Walk(EVERY, BASE, TARGET, 0))
    assert (ids(page), page.whole) == ([1, 2, 3, 4, 5], False)
    page = await rows.walk(Walk(EVERY, BASE, TARGET, 5))
    assert (ids(page), page.whole) == ([6, 7], True)
    assert len(page.rows[0]["body"]) == SHARE + 1
    assert server.said == ["fetch walk", "fetch walk", "portal walk"]


async def test_a_row_that_the_broker_will_refuse_is_never_fetched_and_ends_no_page() -> None:
    server = Server(10, 2 * 1024 * 1024, 10)
    page = await reading(server).walk(Walk(EVERY, BASE, TARGET, 0))
    assert (ids(page), page.whole, page.rows[1]["body"]) == ([1, 2, 3], True, None)
    assert server.said == ["fetch walk"]


async def test_no_answer_is_larger_than_a_page() -> None:
    server = Server(*[1024 * 1024] * 90)
    rows, after, count = reading(server), 0, 0
    page = Page([], None, False, 0)
    while not page.whole:
        page = await rows.walk(Walk(EVERY, BASE, TARGET, after))
        after, count = page.rows[-1]["id"] if page.rows else after, count + len(page.rows)
        assert page.bytes <= LONGEST_PAGE + rows.largest
    assert count == 90
    assert server.largest_answer <= LONGEST_PAGE


async def test_a_tick_with_a_large_row_is_still_read_as_a_whole() -> None:
    server = Server(10, SHARE + 1, 10)
    page = await reading(server).poll(Poll(EVERY, BASE))
    assert (ids(page), page.whole, page.seen) == ([1, 2, 3], True, TARGET)
    assert len(page.rows[1]["body"]) == SHARE + 1
    assert server.said == ["fetch poll", "portal poll"]


async def test_the_gate_asks_only_for_what_the_poll_did_not_tell_and_now_and_then_for_the_latency() -> None:
    server = Server(10)
    rows = reading(server)
    page = await rows.poll(Poll(EVERY, BASE))
    await rows.gate(page.wal)
    assert server.said == ["fetch poll", "flushed?"], "the latency is not known yet"
    await rows.gate(page.wal)
    assert server.said == ["fetch poll", "flushed?"]
    server.flushed = 60
    await rows.gate(55)
    assert server.said == ["fetch poll", "flushed?", "flushed?"]
