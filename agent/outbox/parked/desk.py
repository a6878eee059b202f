"""What a person does with what is set aside: look, have it sent again, discard it with a reason.

None of it needs a relay to run, and none of it takes a key from an owner: a replay is only asked for, and a discard
takes rows away under the lock of their bucket, so that no owner appends meanwhile. The key itself is let go by its
owner, who would else not know. All that is done is written down with the database's role and time.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from collections.abc import Collection
from dataclasses import dataclass

from agent.outbox.database import Connection
from agent.outbox.events import shortened
from agent.outbox.names import identifier, literal
from agent.outbox.parked.keys import State, named
from agent.runtime.errors import Permanent

MOST = 1000
"""Keys that are listed and worked on at once."""


@dataclass(frozen=True)
class Which:
    """Which keys are meant."""

    feeds: tuple[str, ...]
    key: str | None = None
    row: int | None = None
    """The key that has this row."""

    @property
    def is_all(self) -> bool:
        """Whether every key of the feeds is."""
        return self.key is None and self.row is None


@dataclass(frozen=True)
class SetAsideKey:
    """One key that is set aside."""

    feed: str
    key: str | None
    """Its beginning; None: an event without a key."""
    state: State
    reason: str
    seconds: float
    """Since it was set aside."""
    attempts: int
    """How often it failed since something of it was sent."""
    retry_in: float | None
    """Seconds until it is tried again by itself; None where a person decides."""
    rows: int
    first_row: int | None
    """The number, in its table, of the row that is sent first; None: it is about to be let go."""


@dataclass(frozen=True)
class Done:
    """What was done with one key."""

    feed: str
    key: str | None
    rows: tuple[int, ...]
    """For a discard the rows that were; for a replay the first one that is sent."""


class Desk:
    """On one connection. Every method raises Transient or Permanent."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = identifier(schema)

    async def look(self, feeds: Collection[str]) -> list[SetAsideKey]:
        """The keys that are set aside, those that wait for a person first; at most MOST."""
        rows = await self._connection.fetch(
            "looking at what is set aside",
            "SELECT k.feed, k.key, k.state, k.reason, k.attempts, "
            "greatest(extract(epoch FROM now() - k.since), 0)::float8 AS seconds, CASE WHEN k.state = 'held' "
            "THEN greatest(extract(epoch FROM k.retry_at - now()), 0)::float8 END AS retry_in, "
            "coalesce(r.rows, 0)::int AS rows, (SELECT h.row_id FROM "
            f"{self._schema}.held_row h WHERE h.feed = k.feed AND h.key = k.id ORDER BY h.seq LIMIT 1) AS first_row "
            f"FROM {self._schema}.held_key k LEFT JOIN (SELECT feed, key, count(*) AS rows "
            f"FROM {self._schema}.held_row GROUP BY feed, key) r ON r.feed = k.feed AND r.key = k.id "
            f"WHERE k.feed = ANY($1::text[]) ORDER BY k.state = 'held', k.since, k.id LIMIT {MOST}",
            sorted(feeds),
        )
        return [SetAsideKey(**row) for row in rows]

    async def replay(self, which: Which) -> list[Done]:
        """Ask for the keys to be sent again; whoever owns them does it. Again is no change."""
        # A key that is held is tried by itself: that a person wants it now counts all the same.
        return await self._each("asking for a replay", which, self._replayed, "")

    async def discard(self, which: Which, reason: str) -> list[Done]:
        """Take rows of the keys away, never to be sent: all of a key's, or the one row that is named. What is on its
        way just now can't be called back."""
        return await self._each("discarding what is set aside", which, self._discarded, reason)

    async def _each(self, doing: str, which: Which, statement: str, reason: str) -> list[Done]:
        buckets = await self._connection.fetch(
            doing,
            f"SELECT DISTINCT k.feed, k.bucket FROM {self._schema}.held_key k WHERE {self._where} ORDER BY 1, 2",
            *self._arguments(which),
        )
        if not buckets and not which.is_all:
            what = "that key" if which.key is not None else f"row {which.row}"
            raise Permanent(f"{doing}: {what} is not set aside; see `pillion outbox parked`")
        done = []
        # One bucket at a time: an owner locks several in an order of its own.
        for found in buckets:
            async with self._connection.transaction(doing):
                await self._connection.fetch(
                    doing,
                    f"SELECT FROM {self._schema}.bucket WHERE feed = $1 AND bucket = $2 FOR UPDATE",
                    found["feed"],
                    found["bucket"],
                )
                arguments = (*self._arguments(which), found["feed"], found["bucket"], reason)
                rows = await self._connection.fetch(doing, statement, *arguments)
                done += [Done(row["feed"], row["key"], tuple(row["row_ids"])) for row in rows]
                await self._connection.execute(doing, self._emptied, found["feed"], found["bucket"])
        return done

    @property
    def _replayed(self) -> str:
        return (
            f"WITH asked AS (UPDATE {self._schema}.held_key k SET state = 'replaying', retry_at = NULL "
            f"WHERE {self._here} RETURNING k.feed, k.id, k.key), "
            "first AS (SELECT a.*, array_remove(ARRAY[(SELECT h.row_id FROM "
            f"{self._schema}.held_row h WHERE h.feed = a.feed AND h.key = a.id ORDER BY h.seq LIMIT 1)], NULL) "
            f"AS row_ids FROM asked a), {self._told('replay', 'first')} SELECT feed, key, row_ids FROM first"
        )

    @property
    def _discarded(self) -> str:
        return (
            f"WITH gone AS (DELETE FROM {self._schema}.held_row r USING {self._schema}.held_key k "
            f"WHERE r.feed = k.feed AND r.key = k.id AND {self._here} AND ($3::int8 IS NULL OR r.row_id = $3) "
            "RETURNING r.seq, r.row_id, k.feed, k.id, k.key), "
            "each AS (SELECT feed, id, key, array_agg(row_id ORDER BY seq) AS row_ids FROM gone "
            f"GROUP BY feed, id, key), {self._told('discard', 'each')} SELECT feed, key, row_ids FROM each"
        )

    def _told(self, what: str, of: str) -> str:
        return (
            f"told AS (INSERT INTO {self._schema}.held_audit (what, feed, key_id, key, row_ids, reason) "
            f"SELECT {literal(what)}, feed, id, key, row_ids, $6::text FROM {of})"
        )

    @property
    def _emptied(self) -> str:
        # Its owner finds nothing to send and lets the key go.
        return (
            f"UPDATE {self._schema}.held_key k SET state = 'replaying', retry_at = NULL WHERE k.feed = $1 "
            f"AND k.bucket = $2 AND NOT EXISTS (SELECT FROM {self._schema}.held_row r WHERE r.feed = k.feed "
            "AND r.key = k.id)"
        )

    @property
    def _here(self) -> str:
        return f"{self._where} AND k.feed = $4 AND k.bucket = $5::int2"

    @property
    def _where(self) -> str:
        return (
            "k.feed = ANY($1::text[]) AND ($2::text IS NULL OR k.id = $2) AND ($3::int8 IS NULL OR EXISTS (SELECT FROM "
            f"{self._schema}.held_row w WHERE w.feed = k.feed AND w.key = k.id AND w.row_id = $3))"
        )

    @staticmethod
    def _arguments(which: Which) -> tuple[object, ...]:
        return sorted(which.feeds), None if which.key is None else named(shortened(which.key)), which.row
