"""The owner's statements about what is set aside.

Each is one statement, and so one transaction, that locks the buckets' rows and compares their epochs before it changes
anything: of two relays that both think they own a bucket, one changes it. The order of a key's rows is that of ``seq``,
which the statement takes from its sequence in the order of its arguments.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.outbox.database import Connection, Row
from agent.outbox.delivery import Aside
from agent.outbox.leases import LostError
from agent.outbox.names import identifier
from agent.outbox.parked import keys
from agent.outbox.parked.keys import Known, State

MOST_KEYS = 200
"""Keys that are worked on at once."""


@dataclass(frozen=True)
class Due:
    """A key that is to be sent now."""

    id: str
    bucket: int
    state: State
    attempts: int
    """How often it failed since something of it was sent."""
    tries: int
    """How often in a row sending it was begun without an end: the process ended meanwhile."""


@dataclass(frozen=True)
class HeldRow:
    """One row that is set aside."""

    seq: int
    key: str
    """The key's name."""
    row: int


@dataclass(frozen=True)
class Outcome:
    """What became of a key that was tried."""

    id: str
    bucket: int
    state: State
    reason: str
    wait: float | None
    """Seconds until it is tried again; None: not by itself."""


@dataclass(frozen=True)
class Tally:
    """What a feed has set aside."""

    keys: Mapping[str, int]
    """By state."""
    rows: int
    oldest: float
    """Seconds since the first of the keys was set aside; 0 without any."""


class HeldLedger:
    """Held keys and rows of one feed on one connection. Every method raises Transient or Permanent, and LostError
    where a bucket belongs to a later epoch."""

    def __init__(
        self, connection: Connection, schema: str, feed: str, epochs: Callable[[], Mapping[int, int]]
    ) -> None:
        """``epochs`` gives those of the buckets that are owned now."""
        self._connection = connection
        self._feed = feed
        self._epochs = epochs
        self._schema = quoted = identifier(schema)
        self._doing = f"setting aside events of the outbox {feed}"
        self._mine = (
            f"mine AS MATERIALIZED (SELECT b.bucket FROM {quoted}.bucket b "
            "JOIN unnest($2::int2[], $3::int8[]) AS v (bucket, epoch) ON b.bucket = v.bucket AND b.epoch = v.epoch "
            "WHERE b.feed = $1 ORDER BY b.bucket FOR UPDATE OF b)"
        )

    async def _owned(self, buckets: Collection[int], statement: str, *arguments: object) -> list[Row]:
        """Run a statement whose rows begin with the number of buckets that were owned."""
        epochs = self._epochs()
        mine = sorted(set(buckets))
        if any(bucket not in epochs for bucket in mine):
            raise LostError(f"the outbox {self._feed} was taken over by another relay")
        rows = await self._connection.fetch(
            self._doing, statement, self._feed, mine, [epochs[bucket] for bucket in mine], *arguments
        )
        if not rows or rows[0]["mine"] != len(mine):
            raise LostError(f"the outbox {self._feed} was taken over by another relay")
        return rows

    async def append(
        self, asides: Sequence[Aside], known: Mapping[str, Known], first_wait: float, home: int | None = None
    ) -> None:
        """Keep events that are set aside, and record those that are left out. Again is no change. ``first_wait``:
        seconds until a key that is held is tried for the first time. ``home``: the bucket whose owner sends them again,
        in place of their own."""
        rows = [self._appended(each, known, first_wait) for each in asides]
        await self._owned(
            {each.event.bucket for each in asides},
            f"WITH {self._mine}, given AS (SELECT g.* FROM unnest($4::int2[], $5::text[], $6::text[], $7::text[], "
            "$8::text[], $9::int8[], $10::float8[]) WITH ORDINALITY AS g (bucket, id, key, state, reason, row_id, "
            "wait, n) WHERE g.bucket IN (SELECT bucket FROM mine)), "
            f"keys AS (INSERT INTO {self._schema}.held_key (feed, id, bucket, key, state, reason, retry_at) "
            "SELECT DISTINCT ON (id) $1, id, coalesce($11::int2, bucket), key, state, reason, "
            "now() + make_interval(secs => wait) "
            "FROM given WHERE state <> 'skipped' ORDER BY id, n ON CONFLICT (feed, id) DO NOTHING), "
            f"kept AS (INSERT INTO {self._schema}.held_row (feed, key, bucket, row_id) "
            "SELECT $1, id, coalesce($11::int2, bucket), row_id "
            "FROM given WHERE state <> 'skipped' ORDER BY n ON CONFLICT (feed, row_id) DO NOTHING), "
            f"told AS (INSERT INTO {self._schema}.held_audit (what, feed, key_id, key, row_ids, reason) "
            "SELECT 'skipped', $1, id, key, ARRAY[row_id], reason FROM given WHERE state = 'skipped' ORDER BY n) "
            "SELECT count(*)::int AS mine FROM mine",
            *map(list, zip(*rows, strict=True)),
            home,
        )

    @staticmethod
    def _appended(aside: Aside, known: Mapping[str, Known], first_wait: float) -> tuple[object, ...]:
        event, name = aside.event, keys.of(aside.event)
        before = known.get(name)
        state = before.state if before is not None else aside.verdict
        reason = before.reason if before is not None else aside.reason
        wait = max(first_wait, aside.delay) if state == "held" else None
        return (
            event.bucket,
            name,
            _storable(keys.shown(event.key)),
            state,
            _storable(reason[: keys.LONGEST_REASON]),
            event.row,
            wait,
        )

    async def there(self, rows: Collection[int]) -> set[int]:
        """Those of these rows that are set aside."""
        found = await self._connection.fetch(
            self._doing,
            f"SELECT row_id FROM {self._schema}.held_row WHERE feed = $1 AND row_id = ANY($2::int8[])",
            self._feed,
            sorted(rows),
        )
        return {int(row["row_id"]) for row in found}

    async def attempt(self, buckets: Collection[int], now: int | None = None, row: int | None = None) -> None:
        """Note that in ``buckets`` no row is sent alone any more, but ``row`` in the bucket ``now`` is from here on."""
        await self._owned(
            set(buckets) | ({now} if now is not None else set()),
            f"WITH {self._mine}, noted AS (UPDATE {self._schema}.bucket b SET attempting = "
            "CASE WHEN b.bucket = $4::int2 THEN $5::int8 END FROM mine "
            "WHERE b.feed = $1 AND b.bucket = mine.bucket) SELECT count(*)::int AS mine FROM mine",
            now,
            row,
        )

    async def known(self, buckets: Collection[int]) -> tuple[dict[str, Known], dict[str, int]]:
        """The keys of these buckets that are set aside, and how many rows each has."""
        rows = await self._connection.fetch(
            self._doing,
            "SELECT k.id, k.bucket, k.state, k.reason, coalesce(r.rows, 0) AS rows "
            f"FROM {self._schema}.held_key k LEFT JOIN (SELECT key, count(*) AS rows FROM {self._schema}.held_row "
            "WHERE feed = $1 GROUP BY key) r ON r.key = k.id WHERE k.feed = $1 AND k.bucket = ANY($2::int2[])",
            self._feed,
            sorted(buckets),
        )
        found = {row["id"]: Known(row["bucket"], row["state"], row["reason"]) for row in rows}
        return found, {row["id"]: int(row["rows"]) for row in rows}

    async def left_out(self) -> list[int]:
        """The rows that were left out last, the newest first."""
        rows = await self._connection.fetch(
            self._doing,
            f"SELECT row_ids[1] AS row FROM {self._schema}.held_audit WHERE feed = $1 AND what = 'skipped' "
            f"ORDER BY id DESC LIMIT {keys.REMEMBERED}",
            self._feed,
        )
        return [int(row["row"]) for row in rows]

    async def tally(self) -> Tally:
        """All of the feed, other relays' too."""
        rows = await self._connection.fetch(
            self._doing,
            "SELECT k.state, count(*)::int AS keys, "
            "extract(epoch FROM now() - min(k.since))::float8 AS oldest, "
            f"(SELECT count(*) FROM {self._schema}.held_row WHERE feed = $1)::int8 AS rows "
            f"FROM {self._schema}.held_key k WHERE k.feed = $1 GROUP BY k.state",
            self._feed,
        )
        return Tally(
            {row["state"]: row["keys"] for row in rows},
            max((int(row["rows"]) for row in rows), default=0),
            max((row["oldest"] for row in rows), default=0.0),
        )

    async def due(self, buckets: Collection[int], *, held: bool) -> list[Due]:
        """Keys of these buckets that are to be sent now, those first that a person asked for, and of those the ones
        that were set aside first; ``held``: also those that are tried by themselves."""
        rows = await self._connection.fetch(
            self._doing,
            f"SELECT id, bucket, state, attempts, tries FROM {self._schema}.held_key k WHERE feed = $1 "
            "AND bucket = ANY($2::int2[]) AND (state = 'replaying' OR ($3 AND state = 'held' AND retry_at <= now())) "
            # Rows whose key could not be read are a key each, and may have one when they are mended.
            f"ORDER BY state = 'held', retry_at NULLS FIRST, (SELECT min(r.seq) FROM {self._schema}.held_row r "
            f"WHERE r.feed = k.feed AND r.key = k.id) LIMIT {MOST_KEYS}",
            self._feed,
            sorted(buckets),
            held,
        )
        return [Due(**row) for row in rows]

    async def begin(self, due: Sequence[Due], size: int) -> list[HeldRow]:
        """Note that the keys are sent from now on; their first rows, in order."""
        rows = await self._owned(
            {each.bucket for each in due},
            f"WITH {self._mine}, noted AS (UPDATE {self._schema}.held_key k SET tries = k.tries + 1 FROM mine "
            "WHERE k.feed = $1 AND k.bucket = mine.bucket AND k.id = ANY($4::text[])) "
            "SELECT (SELECT count(*) FROM mine)::int AS mine, r.seq, r.key, r.row_id FROM (VALUES (1)) AS one (n) "
            f"LEFT JOIN (SELECT seq, key, row_id FROM {self._schema}.held_row WHERE feed = $1 "
            "AND key = ANY($4::text[]) ORDER BY seq LIMIT $5::int4) r ON true ORDER BY r.seq",
            [each.id for each in due],
            size,
        )
        return [HeldRow(row["seq"], row["key"], row["row_id"]) for row in rows if row["seq"] is not None]

    async def take_back(self, noted: Mapping[str, int]) -> None:
        """Take notes of ``begin`` back that had no end though the process lives, so many by key; also of keys that are
        another owner's by now."""
        await self._connection.fetch(
            self._doing,
            f"UPDATE {self._schema}.held_key k SET tries = greatest(k.tries - t.notes, 0) "
            "FROM unnest($2::text[], $3::int4[]) AS t (id, notes) WHERE k.feed = $1 AND k.id = t.id",
            self._feed,
            list(noted),
            list(noted.values()),
        )

    async def settle(self, due: Sequence[Due], sent: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Take out the rows that were acknowledged, by ``seq``, and note which keys failed. The others are not done,
        so they stay as they are and are due at once."""
        failed = [(each.id, each.state, each.reason[: keys.LONGEST_REASON], each.wait) for each in outcomes]
        columns = [list(column) for column in zip(*failed, strict=True)] if failed else [[], [], [], []]
        await self._owned(
            {each.bucket for each in due},
            f"WITH {self._mine}, gone AS (DELETE FROM {self._schema}.held_row r USING mine WHERE r.feed = $1 "
            "AND r.bucket = mine.bucket AND r.seq = ANY($5::int8[]) RETURNING r.key), "
            f"noted AS (UPDATE {self._schema}.held_key k SET tries = 0, state = coalesce(f.state, k.state), "
            "reason = coalesce(f.reason, k.reason), "
            "attempts = CASE WHEN k.id IN (SELECT key FROM gone) THEN 0 ELSE k.attempts END "
            "+ CASE WHEN f.id IS NULL THEN 0 ELSE 1 END, "
            "retry_at = CASE WHEN f.id IS NULL THEN k.retry_at ELSE now() + make_interval(secs => f.wait) END "
            "FROM mine, unnest($4::text[]) AS t (id) LEFT JOIN unnest($6::text[], $7::text[], $8::text[], "
            "$9::float8[]) AS f (id, state, reason, wait) USING (id) "
            "WHERE k.feed = $1 AND k.bucket = mine.bucket AND k.id = t.id) "
            "SELECT count(*)::int AS mine FROM mine",
            [each.id for each in due],
            list(sent),
            columns[0],
            columns[1],
            [_storable(each) for each in columns[2]],
            columns[3],
        )

    async def free(self, due: Sequence[Due]) -> list[str]:
        """Let go of those keys that have no rows; their names. From then on their rows are sent like any other."""
        rows = await self._owned(
            {each.bucket for each in due},
            f"WITH {self._mine}, free AS (DELETE FROM {self._schema}.held_key k USING mine WHERE k.feed = $1 "
            "AND k.bucket = mine.bucket AND k.id = ANY($4::text[]) AND NOT EXISTS (SELECT FROM "
            f"{self._schema}.held_row r WHERE r.feed = k.feed AND r.key = k.id) RETURNING k.id) "
            "SELECT (SELECT count(*) FROM mine)::int AS mine, f.id FROM (VALUES (1)) AS one (n) "
            "LEFT JOIN free f ON true",
            [each.id for each in due],
        )
        return [row["id"] for row in rows if row["id"] is not None]


def _storable(text: str | None) -> str | None:
    # A broker's words may hold what PostgreSQL's text can't.
    return None if text is None else text.replace("\0", "").encode("utf-8", "replace").decode()
