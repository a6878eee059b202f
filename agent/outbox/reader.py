"""Reading a feed: the queries of the cursor's decisions, pages bounded in rows and bytes, and the flush
gate."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.outbox.cursor import Poll, Walk
from agent.outbox.database import Connection, ExhaustedError, Portal, Row, UnreadableError
from agent.outbox.events import UNREADABLE
from agent.outbox.latency import Latency
from agent.outbox.shape import Shape
from agent.outbox.sifting import LONGEST_PAGE, Unread, sift
from agent.outbox.snapshot import Snapshot
from agent.runtime.errors import Transient

PLANNER = {
    # A page of a walk is found in order by the index on the rows' numbers. Where PostgreSQL knows nothing of the table
    # yet, as after a restore, it would rather read and sort all that is left, for each page anew.
    "enable_sort": "off",
    # So with a poll: of a table that it has not looked at yet it takes a third for new, and would read all of it each
    # time, milliseconds instead of a fraction of one and more with every row, until autovacuum has come by.
    "enable_seqscan": "off",
}
"""What PostgreSQL's planner is set to where a feed is read."""

PATIENCE = 0.05
"""Seconds that the gate waits for others' commits to flush the log before it makes a small commit of its
own."""

_LAST = 2**63 - 1
_PAGE_HEADERS = (24, 40)
FLUSHED = "SELECT (pg_current_wal_flush_lsn() - '0/0')::int8 AS flushed"
SEEN = "SELECT pg_current_snapshot()::text AS snapshot"
NUDGE = "SELECT pg_logical_emit_message(true, 'pillion', '')"


@dataclass(frozen=True)
class Page:
    """Rows in order of id."""

    rows: list[Row]
    seen: Snapshot | None
    """The snapshot that a poll was made with; None from a walk."""
    whole: bool
    """There is no more in this tick."""
    wal: int
    """Where the log stood: what is in the page is durable once the log is flushed to here."""
    until: int | None = None
    """How far a page of a walk goes where that is not its last row."""
    keyless: tuple[Unread, ...] = ()
    """Rows whose key can't be read: nothing tells what bucket they are in, so whoever meets them has them."""

    @property
    def last(self) -> int:
        """How far a page goes that is not the whole of the walk."""
        return self.until if self.until is not None else int(self.rows[-1]["id"])

    @property
    def bytes(self) -> int:
        """Bytes of all bodies."""
        return sum(len(row["body"] or b"") for row in self.rows)


class Reader:
    """The queries of one feed on one connection. All raise Transient or Permanent."""

    def __init__(self, connection: Connection, shape: Shape, feed: str, size: int, block: int = 8192) -> None:
        """``size`` is the most rows of a page, ``block`` the server's ``wal_block_size``."""
        self._connection = connection
        self._shape = shape
        self._doing = f"reading the outbox {feed}"
        self._block = block
        self._flushed = 0
        self.size = size
        self.latency = Latency()
        self.largest = 1048576
        """Bytes of the largest body that is fetched; of a larger one only the size is."""

    async def poll(self, poll: Poll) -> Page:
        """The whole tick since the base; without rows and not ``whole`` when it does not fit into a page, or has a row
        whose key can't be read."""
        try:
            return await self._poll(self._shape, poll)
        except (UnreadableError, ExhaustedError):
            pass
        try:
            page = await self._poll(self._shape.bare, poll)
        except (UnreadableError, ExhaustedError):
            seen = await self._connection.value(self._doing, SEEN)
            return Page([], Snapshot.parse(seen), False, 0)
        rows = await self._apart(page.rows)
        return (
            replace(page, rows=rows) if len(rows) == len(page.rows) else replace(page, rows=[], whole=False)
        )

    async def _poll(self, shape: Shape, poll: Poll) -> Page:
        xmax, xip = _sides(poll.base)
        given = (xmax, xip, sorted(poll.buckets), self.size + 1)
        rows, whole = await self._at_once(shape.poll, self.size + 1, given)
        if not whole:
            async with self._connection.pages(self._doing, shape.poll, *given, self.largest) as portal:
                rows, whole = await self._fill(portal, self.size + 1)
        seen, wal = Snapshot.parse(rows[0]["snapshot"]), rows[0]["wal"]
        self._flushed = rows[0]["flushed"]
        rows = [row for row in rows if row["id"] is not None]
        if not whole or len(rows) > self.size:
            return Page([], seen, False, wal)
        return Page(sorted(rows, key=lambda row: int(row["id"])), seen, True, wal)

    async def walk(self, walk: Walk) -> Page:
        """The next page of a fixed tick."""
        try:
            return await self._walk(self._shape, walk)
        except (UnreadableError, ExhaustedError):
            pass
        try:
            page = await self._walk(self._shape.bare, walk)
        except (UnreadableError, ExhaustedError):
            page = await self._keyed(walk)
        rows = await self._apart(page.rows)
        if len(rows) == len(page.rows):
            return replace(page, rows=rows)
        until = rows[-1]["id"]
        keyless = tuple(each for each in page.keyless if each.id < until)
        return replace(page, rows=rows, whole=False, until=until, keyless=keyless)

    async def _keyed(self, walk: Walk) -> Page:
        """A page of the walk's rows by their keys, and all rows up to its end that have none to be read."""
        page = await self._walk(self._shape.blind, walk)
        ids = [row["id"] for row in page.rows]
        found = await sift(self._bare, self._there, ids)
        rows = [row for row in found if not isinstance(row, Unread)]
        self._still(rows)
        return replace(
            page,
            rows=[row for row in rows if row["bucket"] in walk.buckets],
            until=ids[-1] if ids else None,
            keyless=tuple(row for row in found if isinstance(row, Unread)),
        )

    async def _walk(self, shape: Shape, walk: Walk) -> Page:
        size = self.size
        given = (walk.after, str(walk.base), sorted(walk.buckets), size)
        last = _LAST if walk.until is None else walk.until
        rows, whole = await self._at_once(shape.walk, size, given, str(walk.target), last)
        if not rows and not whole:
            arguments = (*given, self.largest, str(walk.target), last)
            async with self._connection.pages(self._doing, shape.walk, *arguments) as portal:
                rows, whole = await self._fill(portal, size)
        return Page(rows, None, whole and len(rows) < size, rows[0]["wal"] if rows else 0)

    async def named(self, ids: Sequence[int]) -> list[Row]:
        """The rows of these numbers in this order, each with None for ``id`` where there is none; fewer where they
        would be larger than a page."""
        try:
            return await self._full(ids)
        except (UnreadableError, ExhaustedError):
            return await self._pieces([{"id": each, "bucket": None, "key": None} for each in ids])

    async def _full(self, ids: Sequence[int]) -> list[Row]:
        return await self._named(self._shape, ids)

    async def _bare(self, ids: Sequence[int]) -> list[Row]:
        return await self._named(self._shape.bare, ids)

    async def _there(self, ids: Sequence[int]) -> list[Row]:
        return await self._named(self._shape.blind, ids)

    async def _named(self, shape: Shape, ids: Sequence[int]) -> list[Row]:
        given = (list(ids), None, None, None)
        rows, whole = await self._at_once(shape.named, len(ids), given)
        if not rows and not whole:
            async with self._connection.pages(self._doing, shape.named, *given, self.largest) as portal:
                rows, _ = await self._fill(portal, len(ids))
        return rows

    async def _apart(self, bare: Sequence[Row]) -> list[Row]:
        rows = await self._pieces(bare)
        # A row whose key was changed meanwhile may be of a bucket that another relay has.
        self._still(rows, bare)
        return rows

    def _still(self, rows: Sequence[Row], then: Sequence[Row] | None = None) -> None:
        """Raise Transient where rows are not what they were ``then``, or not there at all."""
        if any(
            row["id"] is None or row["bucket"] != before["bucket"]
            for row, before in zip(rows, rows if then is None else then, strict=False)
        ):
            raise Transient(
                f"{self._doing}: rows went away, or were changed, while they were read one by one; it is read again"
            )

    async def _pieces(self, bare: Sequence[Row]) -> list[Row]:
        """These rows as far as they fit into a page; of those that can't be read only why."""
        found = await sift(self._full, self._there, [row["id"] for row in bare])
        return [
            {**then, "body": None, "size": UNREADABLE, "unreadable": row.why}
            if isinstance(row, Unread)
            else row
            for row, then in zip(found, bare, strict=False)
        ]

    async def floor(self, base: Snapshot) -> int:
        """A number below every id that the base does not see."""
        xmax, xip = _sides(base)
        lowest = await self._connection.value(self._doing, self._shape.floor, xmax, xip)
        return int(lowest) - 1 if lowest is not None else 0

    async def gate(self, wal: int) -> None:
        """Wait until the log is flushed to ``wal``: an asynchronous commit that is not may still vanish in
        a crash."""
        needed = durable_at(wal, self._block)
        waited = 0.0
        while self._flushed < needed or self.latency.is_old:
            asked = time.monotonic()
            self._flushed = int(await self._connection.value(self._doing, FLUSHED))
            self.latency.note(time.monotonic() - asked)
            if self._flushed >= needed:
                return
            if waited >= PATIENCE:
                await self._connection.fetch(self._doing, NUDGE)
                waited = 0.0
                continue
            await asyncio.sleep(PATIENCE / 20)
            waited += PATIENCE / 20

    async def _at_once(
        self, sql: str, most: int, given: tuple[object, ...], *more: object
    ) -> tuple[list[Row], bool]:
        """All rows in one answer, as far as each has its share of a page's bytes: those before the first that has not,
        and whether that was none."""
        share = min(self.largest, LONGEST_PAGE // max(most, 1))
        rows = await self._connection.fetch(self._doing, sql, *given, share, *more)
        if share < self.largest:
            for place, row in enumerate(rows):
                if row["size"] is not None and share < row["size"] <= self.largest:
                    return rows[:place], False
        return rows, True

    async def _fill(self, portal: Portal, most: int) -> tuple[list[Row], bool]:
        rows: list[Row] = []
        size = 0
        while len(rows) < most:
            # What the next rows hold is not known, only what each may hold: that many are asked for as fit.
            step = max(1, min(most - len(rows), (LONGEST_PAGE - size) // max(self.largest, 1)))
            taken = await portal.take(step)
            rows += taken
            size += sum(len(row["body"] or b"") for row in taken)
            if len(taken) < step:
                return rows, True
            if size >= LONGEST_PAGE:
                return rows, False
        return rows, False


def durable_at(wal: int, block: int) -> int:
    """The position up to which the log must be flushed for all before ``wal``.

    An insert position just behind a page's header means that nothing of that page is written yet.
    """
    return wal - wal % block if wal % block in _PAGE_HEADERS else wal


def _sides(base: Snapshot) -> tuple[str, list[str]]:
    return str(base.xmax), [str(xid) for xid in base.xip]
