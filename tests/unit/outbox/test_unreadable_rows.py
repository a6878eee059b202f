"""Rows that can't be read at once are read one by one, and what becomes of them meanwhile is noticed."""

from typing import Any, cast

import pytest

from agent.outbox.cursor import Walk
from agent.outbox.database import Connection, UnreadableError
from agent.outbox.events import UNREADABLE
from agent.outbox.feeds import Feed
from agent.outbox.names import Name
from agent.outbox.reader import Reader
from agent.outbox.shape import own
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
