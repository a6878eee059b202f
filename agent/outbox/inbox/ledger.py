"""The consumer's database, where the inbox remembers what was done.

Each statement that records something about a message first locks the partition's row in the epoch that this instance
holds: it waits for, or shuts out, who takes the partition over. So nothing of a former owner is ever recorded.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters

import itertools
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent.outbox.database import Connection, Database, Row
from agent.outbox.inbox.book import Hold, Pending, Tried
from agent.outbox.inbox.message import Message, Parcel, message
from agent.outbox.inbox.shares import Place, View
from agent.outbox.leases import LostError
from agent.outbox.names import identifier
from agent.runtime.errors import Permanent

PORTION = 5000
"""Rows that are forgotten at once."""

_DOING = "keeping the inbox's book"


@dataclass(frozen=True)
class Whose:
    """Of whom the book is, and by whom it is kept."""

    schema: str
    consumer: str
    me: str
    """This process's own id."""
    places: Sequence[Place]
    body: int
    """Bytes of a dead letter's body that are kept."""


class Books:
    """Opens a book."""

    def __init__(self, database: Database, whose: Whose) -> None:
        self._database = database
        self._whose = whose

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Ledger"]:
        """The book, on two connections: a beat never waits for a record."""
        async with self._database.connection() as beats, self._database.connection() as work:
            ledger = Ledger(beats, work, self._whose)
            await ledger.prepare()
            yield ledger


class Ledger:
    """See ``book.Book``."""

    alone = False

    def __init__(self, beats: Connection, work: Connection, whose: Whose) -> None:
        self._beats = beats
        self._work = work
        self._schema = identifier(whose.schema)
        self._consumer = whose.consumer
        self._me = whose.me
        self._places = {(place.topic, place.partition): place for place in whose.places}
        self._body = whose.body

    async def prepare(self) -> None:
        """Add the partitions that are new; raises Permanent where the tables are missing."""
        there = await self._work.value(
            _DOING, "SELECT to_regclass($1) IS NOT NULL", f"{self._schema}.inbox_dead"
        )
        if not there:
            raise Permanent(f"{_DOING}: the schema {self._schema} is not there; run `pillion inbox init`")
        await self._work.execute(
            _DOING,
            f"INSERT INTO {self._schema}.inbox_partition (consumer, topic, partition) SELECT $1, t, p "
            "FROM unnest($2::text[], $3::int[]) AS v (t, p) ON CONFLICT DO NOTHING",
            self._consumer,
            *self._columns(list(self._places)),
        )

    def _columns(self, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        return [list(column) for column in itertools.zip_longest(*rows)]

    async def beat(self) -> View:
        """See ``Book``."""
        await self._beats.execute(
            _DOING,
            f"INSERT INTO {self._schema}.member AS m (consumer, id) VALUES ($1, $2) "
            "ON CONFLICT (consumer, id) DO UPDATE SET beat = m.beat + 1",
            self._consumer,
            self._me,
        )
        beats = await self._beats.fetch(
            _DOING, f"SELECT id, beat FROM {self._schema}.member WHERE consumer = $1", self._consumer
        )
        rows = await self._beats.fetch(
            _DOING,
            f"SELECT topic, partition, owner FROM {self._schema}.inbox_partition WHERE consumer = $1 "
            "AND owner IS NOT NULL",
            self._consumer,
        )
        owned = {self._places.get((row["topic"], row["partition"])): row["owner"] for row in rows}
        return View(
            {row["id"]: row["beat"] for row in beats},
            {place: owner for place, owner in owned.items() if place is not None},
        )

    async def claim(self, place: Place, former: str | None, beat: int | None) -> Hold | None:
        """See ``Book``. The former owner's row is locked: its beat comes before this, and prevents it, or after, and
        then shows it who has the partition."""
        epoch = await self._beats.value(
            _DOING,
            f"WITH former AS MATERIALIZED (SELECT beat FROM {self._schema}.member WHERE consumer = $1 AND id = $5 "
            f"FOR UPDATE) UPDATE {self._schema}.inbox_partition SET owner = $4, epoch = epoch + 1 "
            "WHERE consumer = $1 AND topic = $2 AND partition = $3 AND owner IS NOT DISTINCT FROM $5 "
            "AND NOT EXISTS (SELECT FROM former WHERE beat IS DISTINCT FROM $6) RETURNING epoch",
            self._consumer,
            place.topic,
            place.partition,
            self._me,
            former,
            beat,
        )
        return Hold(place, epoch) if epoch is not None else None

    async def release(self, hold: Hold) -> None:
        """See ``Book``."""
        await self._beats.execute(
            _DOING,
            f"UPDATE {self._schema}.inbox_partition SET owner = NULL WHERE consumer = $1 AND topic = $2 "
            "AND partition = $3 AND epoch = $4",
            *self._mine(hold),
        )

    async def leave(self, gone: Collection[str]) -> None:
        """See ``Book``."""
        await self._beats.execute(
            _DOING,
            f"DELETE FROM {self._schema}.member m WHERE consumer = $1 AND id = ANY($2::text[]) AND NOT EXISTS "
            f"(SELECT FROM {self._schema}.inbox_partition p WHERE p.consumer = $1 AND p.owner = m.id)",
            self._consumer,
            list(gone),
        )

    async def seen(self, digests: Sequence[bytes]) -> Collection[bytes]:
        """See ``Book``."""
        rows = await self._work.fetch(
            _DOING,
            f"SELECT digest FROM {self._schema}.inbox_seen WHERE consumer = $1 AND digest = ANY($2::bytea[]) "
            f"UNION ALL SELECT digest FROM {self._schema}.inbox_dead WHERE consumer = $1 "
            "AND digest = ANY($2::bytea[])",
            self._consumer,
            list(digests),
        )
        return frozenset(bytes(row["digest"]) for row in rows)

    async def done(self, hold: Hold, digests: Sequence[bytes]) -> None:
        """See ``Book``."""
        await self._fenced(
            hold,
            f"added AS (INSERT INTO {self._schema}.inbox_seen (consumer, digest) SELECT $1, d FROM mine, "
            "unnest($5::bytea[]) AS d ON CONFLICT DO NOTHING), "
            f"tried AS (DELETE FROM {self._schema}.inbox_attempt WHERE consumer = $1 "
            "AND digest = ANY($5::bytea[]) AND EXISTS (SELECT FROM mine))",
            list(digests),
        )

    async def failed(self, hold: Hold, digest: bytes, reason: str) -> Tried:
        """See ``Book``."""
        row = await self._fenced(
            hold,
            f"tried AS (INSERT INTO {self._schema}.inbox_attempt AS a (consumer, digest, reason) "
            "SELECT $1, $5::bytea, $6 FROM mine ON CONFLICT (consumer, digest) DO UPDATE SET "
            "attempts = a.attempts + 1, reason = excluded.reason RETURNING attempts, "
            "extract(epoch FROM now() - first)::float8 AS age)",
            digest,
            reason,
            answer="(SELECT attempts FROM tried) AS attempts, (SELECT age FROM tried) AS age",
        )
        return Tried(row["attempts"], row["age"])

    async def bury(self, hold: Hold, message: Message, reason: str, attempts: int) -> None:
        """See ``Book``."""
        burial = self._burial("mine", "'dead'")
        await self._fenced(hold, f"added AS ({burial})", *self._letter(message, reason, attempts))

    async def behind(self, hold: Hold, message: Message) -> bool:
        """See ``Book``."""
        dead = f"{self._schema}.inbox_dead"
        last = (
            f"last AS (SELECT state FROM {dead}, mine WHERE consumer = $1 AND topic = $2 AND partition = $3 "
            "AND key = $6 AND state <> 'discarded' ORDER BY number DESC LIMIT 1)"
        )
        row = await self._fenced(
            hold,
            f"{last}, added AS ({self._burial('last', 'state')})",
            *self._letter(message, "an earlier message of its key is a dead letter", 0),
            answer="EXISTS (SELECT FROM last) AS buried",
        )
        return bool(row["buried"])

    def _burial(self, where: str, state: str) -> str:
        return (
            f"INSERT INTO {self._schema}.inbox_dead (consumer, topic, partition, digest, key, id, source, type, "
            "headers, body, size, reason, attempts, state) SELECT $1, $2, $3, $5::bytea, $6, $7, $8, $9, $10, "
            f"$11::bytea, $12, $13, $14, {state} FROM {where} "
            "ON CONFLICT (consumer, digest) DO NOTHING"
        )

    def _letter(self, message: Message, reason: str, attempts: int) -> tuple[Any, ...]:
        headers = {
            **message.headers,
            "ce-traceparent": message.traceparent,
            "ce-tracestate": message.tracestate,
        }
        return (
            message.digest,
            message.key,
            message.id,
            message.source,
            message.type,
            json.dumps({name: value for name, value in headers.items() if value}),
            message.body[: self._body],
            len(message.body),
            reason,
            attempts,
        )

    async def parked(self, hold: Hold) -> Collection[str]:
        """See ``Book``."""
        rows = await self._work.fetch(
            _DOING,
            f"SELECT DISTINCT key FROM {self._schema}.inbox_dead WHERE consumer = $1 AND topic = $2 "
            "AND partition = $3 AND state <> 'discarded' AND key IS NOT NULL",
            *self._mine(hold)[:3],
        )
        return [row["key"] for row in rows]

    async def pending(self, hold: Hold) -> Sequence[Pending]:
        """See ``Book``."""
        rows = await self._work.fetch(
            _DOING,
            f"SELECT number, key FROM {self._schema}.inbox_dead WHERE consumer = $1 AND topic = $2 "
            "AND partition = $3 AND state = 'replay' ORDER BY number LIMIT 1000",
            *self._mine(hold)[:3],
        )
        return [Pending(row["number"], row["key"]) for row in rows]

    async def exhume(self, number: int) -> Message | None:
        """See ``Book``."""
        rows = await self._work.fetch(
            _DOING,
            f"SELECT number, topic, headers, body FROM {self._schema}.inbox_dead WHERE number = $1 "
            "AND consumer = $2 AND state = 'replay' AND size = octet_length(body)",
            number,
            self._consumer,
        )
        if not rows:
            return None
        row = rows[0]
        headers = {name.lower(): value for name, value in json.loads(row["headers"]).items()}
        return message(Parcel(number, row["topic"], headers, bytes(row["body"]), "dead", str(number)))

    async def revived(self, hold: Hold, number: int, digest: bytes) -> None:
        """See ``Book``."""
        await self._fenced(
            hold,
            f"added AS (INSERT INTO {self._schema}.inbox_seen (consumer, digest) SELECT $1, $5::bytea FROM mine "
            f"ON CONFLICT DO NOTHING), gone AS (DELETE FROM {self._schema}.inbox_dead WHERE number = $6 "
            "AND consumer = $1 AND EXISTS (SELECT FROM mine)), "
            f"tried AS (DELETE FROM {self._schema}.inbox_attempt WHERE consumer = $1 AND digest = $5::bytea "
            "AND EXISTS (SELECT FROM mine))",
            digest,
            number,
        )

    async def relapsed(self, hold: Hold, number: int, reason: str) -> None:
        """See ``Book``."""
        dead = f"{self._schema}.inbox_dead"
        await self._fenced(
            hold,
            f"again AS (UPDATE {dead} d SET state = 'dead', reason = CASE WHEN d.number = $5 THEN $6 ELSE d.reason "
            f"END FROM mine, {dead} one WHERE one.number = $5 AND d.consumer = $1 AND d.topic = $2 "
            "AND d.partition = $3 AND d.state = 'replay' AND (d.number = $5 OR d.key = one.key))",
            number,
            reason,
        )

    async def prune(self, window: float) -> int:
        """See ``Book``."""
        counted = 0
        for table, column in (("inbox_seen", "at"), ("inbox_attempt", "first")):
            name = f"{self._schema}.{table}"
            tag = await self._work.execute(
                _DOING,
                f"DELETE FROM {name} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {name} WHERE "
                f"{column} < now() - make_interval(secs => $1) LIMIT {PORTION})) AND consumer = $2",
                window,
                self._consumer,
            )
            counted += int(tag.rpartition(" ")[2])
        await self._work.execute(
            _DOING,
            f"DELETE FROM {self._schema}.inbox_dead WHERE state = 'discarded' AND consumer = $2 "
            "AND at < now() - make_interval(secs => $1)",
            window,
            self._consumer,
        )
        return counted

    def _mine(self, hold: Hold) -> tuple[str, str, int, int]:
        return self._consumer, hold.place.topic, hold.place.partition, hold.epoch

    async def _fenced(self, hold: Hold, steps: str, *arguments: Any, answer: str = "1 AS one") -> Row:
        """Run ``steps``, common table expressions that change something only where ``mine`` has a row. Their first
        parameters are consumer, topic, partition and epoch."""
        rows = await self._work.fetch(
            _DOING,
            f"WITH mine AS (SELECT FROM {self._schema}.inbox_partition WHERE consumer = $1 AND topic = $2 "
            f"AND partition = $3 AND epoch = $4 FOR SHARE), {steps} SELECT {answer} FROM mine",
            *self._mine(hold),
            *arguments,
        )
        if not rows:
            raise LostError(f"the partition {hold.place.name} was taken over by another instance")
        return rows[0]
