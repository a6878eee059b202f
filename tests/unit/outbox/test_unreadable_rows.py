"""Rows that can't be read at once are read one by one, and what becomes of them meanwhile is noticed."""

from typing import Any, cast

import pytest

from agent.outbox.cursor import Poll, Walk
from agent.outbox.database import Connection, ExhaustedError, UnreadableError
from agent.outbox.events import UNREADABLE
from agent.outbox.feeds import Feed
from agent.outbox.names import Name
from agent.outbox.reader import SEEN, Reader
from agent.outbox.shape import own
from agent.outbox.sifting import REST, TRIES, Unread, sift
from agent.outbox.snapshot import Snapshot
from agent.runtime.errors import Transient

SHAPE = own(Feed("pillion.outbox", Name("pillion", "outbox"), True))
WALK = Walk(frozenset({3}), Snapshot(3, 3), Snapshot(9, 9), 0)


class Rows:
    """A table with a row that can't be read; ``now`` is the bucket that the others are in by the second look."""

    def __init__(self, bad: int, now: int | None) -> None:
        self.bad = bad
        self.now = now

    async def fetch(self, _doing: str, sql: str, *given: Any) -> list[dict[str, Any]]:
        if sql == SHAPE.bare.walk:
            return [
                {"wal": 5, "id": each, "bucket": 3, "key": "k", "body": None, "size": None} for each in (1, 2)
            ]
        if sql == SHAPE.walk or self.bad in given[0]:
            raise UnreadableError("reading: PostgreSQL says: no", "PostgreSQL can't give it as text (22P02)")
        return [
            {"id": each if self.now is not None else None, "bucket": self.now, "body": b"", "size": 0}
            for each in given[0]
        ]


def reader(rows: Rows) -> Reader:
    return Reader(cast("Connection", rows), SHAPE, "pillion.outbox", 100)


async def test_only_the_row_that_can_not_be_read_is_without_its_contents() -> None:
    page = await reader(Rows(bad=2, now=3)).walk(WALK)
    assert [(row["id"], row["size"]) for row in page.rows] == [(1, 0), (2, UNREADABLE)]
    assert page.whole


@pytest.mark.parametrize("now", [None, 7])
async def test_rows_that_went_away_or_into_another_bucket_are_read_again(now: int | None) -> None:
    with pytest.raises(Transient, match="read again"):
        await reader(Rows(bad=2, now=now)).walk(WALK)


class Keys:
    """A table of rows that are in buckets by their numbers, with keys that can't be read; ``gone`` is a row that goes
    away before it is read alone."""

    def __init__(self, *bad: int, rows: int = 9, gone: int = 0) -> None:
        self.bad = bad
        self.rows = range(1, rows + 1)
        self.gone = gone

    def row(self, number: int) -> dict[str, Any]:
        if number == self.gone:
            return {"id": None, "bucket": None, "body": None, "size": None}
        return {"wal": 5, "id": number, "bucket": 3 + number % 2, "key": "k", "body": b"", "size": 0}

    async def fetch(self, _doing: str, sql: str, *given: Any) -> list[dict[str, Any]]:
        if sql == SHAPE.blind.walk:
            return [{"wal": 5, "id": each, "size": None, "body": None} for each in self.rows][: given[3]]
        if sql in {SHAPE.bare.named, SHAPE.named} and not set(self.bad) & set(given[0]):
            return [self.row(each) for each in given[0]]
        raise UnreadableError("reading: PostgreSQL says: no", "a text of it is not UTF-8")

    async def value(self, _doing: str, sql: str) -> str:
        assert sql == SEEN
        return "3:9:"


def keyed(rows: Keys, size: int = 100) -> Reader:
    return Reader(cast("Connection", rows), SHAPE, "ob", size)


async def test_rows_whose_key_can_not_be_read_are_told_apart_from_those_of_the_buckets_that_are_read() -> (
    None
):
    page = await keyed(Keys(4, 7)).walk(WALK)
    assert [row["id"] for row in page.rows] == [2, 6, 8]
    assert page.keyless == (Unread(4, "a text of it is not UTF-8"), Unread(7, "a text of it is not UTF-8"))
    assert page.whole


async def test_a_page_with_such_rows_goes_as_far_as_rows_of_any_bucket_were_looked_at() -> None:
    page = await keyed(Keys(4, 7), size=7).walk(WALK)
    assert [row["id"] for row in page.rows] == [2, 6]
    assert [each.id for each in page.keyless] == [4, 7]
    assert not page.whole
    assert page.last == 7


async def test_a_page_of_nothing_but_such_rows_is_one() -> None:
    page = await keyed(Keys(1, 2, rows=2), size=2).walk(WALK)
    assert (page.rows, [each.id for each in page.keyless], page.whole, page.last) == ([], [1, 2], False, 2)


async def test_a_row_that_goes_away_while_keys_are_sought_is_read_again() -> None:
    with pytest.raises(Transient, match="read again"):
        await keyed(Keys(4, gone=5)).walk(WALK)


async def test_a_tick_with_such_a_row_is_walked_and_not_polled() -> None:
    page = await keyed(Keys(4)).poll(Poll(frozenset({3}), Snapshot(3, 3)))
    assert (page.rows, page.whole, page.seen) == ([], False, Snapshot(3, 9))


class Memory:
    """Rows over which the server runs out of memory so many times."""

    def __init__(self, **failures: int) -> None:
        self.failures = {int(name[1:]): count for name, count in failures.items()}
        self.rests: list[float] = []
        self.empty = False

    async def read(self, ids: Any) -> list[dict[str, Any]]:
        for each in ids:
            if self.failures.get(each, 0) > 0:
                self.failures[each] -= len(ids) == 1
                raise ExhaustedError("reading: PostgreSQL says: no", "PostgreSQL runs out of memory over it")
        return [{"id": each, "body": None} for each in ids]

    async def there(self, ids: Any) -> list[dict[str, Any]]:
        if self.empty:
            raise ExhaustedError("reading: PostgreSQL says: no", "")
        return [{"id": each, "body": None} for each in ids]

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)


async def sifted(memory: Memory) -> list[Any]:
    found = await sift(memory.read, memory.there, [1, 2, 3], memory.rest)
    return [each if isinstance(each, Unread) else each["id"] for each in found]


async def test_a_row_that_takes_all_memory_each_time_is_to_blame_and_no_other() -> None:
    memory = Memory(r2=TRIES)
    assert await sifted(memory) == [1, Unread(2, "PostgreSQL runs out of memory over it"), 3]
    assert memory.rests == [REST] * (TRIES - 1)


async def test_a_row_that_is_read_at_the_last_try_is_not_to_blame() -> None:
    assert await sifted(Memory(r2=TRIES - 1)) == [1, 2, 3]


async def test_no_row_is_to_blame_while_the_server_has_no_memory_at_all() -> None:
    memory = Memory(r2=TRIES)
    memory.empty = True
    with pytest.raises(ExhaustedError):
        await sifted(memory)
