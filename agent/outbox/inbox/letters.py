"""Dead letters as an operator deals with them. What is marked here is done by the instance that has the partition."""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outbox.database import Connection
from agent.outbox.names import identifier

_DOING = "looking at the inbox's dead letters"


@dataclass(frozen=True)
class Letter:
    """One dead letter, without what is in it."""

    number: int
    state: str
    """``dead``, ``replay``: to be tried again, ``discarded``."""
    topic: str
    partition: int
    key: str | None
    id: str
    source: str
    type: str
    size: int
    """Bytes of its body."""
    whole: bool
    """Its body is kept, so it can be replayed."""
    reason: str
    attempts: int
    note: str
    """Why it was discarded."""
    at: str
    """When it was set aside, RFC 3339."""


@dataclass(frozen=True)
class Partition:
    """One partition."""

    topic: str
    partition: int
    owner: str | None
    epoch: int
    dead: int
    replay: int


class Letters:
    """Of one consumer. Every method raises Transient or Permanent."""

    def __init__(self, connection: Connection, schema: str, consumer: str) -> None:
        self._connection = connection
        self._schema = identifier(schema)
        self._consumer = consumer

    async def partitions(self) -> list[Partition]:
        """All partitions that were ever taken from."""
        rows = await self._connection.fetch(
            _DOING,
            "SELECT p.topic, p.partition, p.owner, p.epoch, count(d.number) FILTER (WHERE d.state = 'dead')::int AS "
            f"dead, count(d.number) FILTER (WHERE d.state = 'replay')::int AS replay FROM "
            f"{self._schema}.inbox_partition p LEFT JOIN {self._schema}.inbox_dead d "
            "USING (consumer, topic, partition) WHERE p.consumer = $1 "
            "GROUP BY p.topic, p.partition, p.owner, p.epoch ORDER BY p.topic, p.partition",
            self._consumer,
        )
        return [Partition(**row) for row in rows]

    async def listed(self, limit: int) -> list[Letter]:
        """The oldest."""
        rows = await self._connection.fetch(
            _DOING,
            "SELECT number, state, topic, partition, key, id, source, type, size, size = octet_length(body) AS whole, "
            "reason, attempts, note, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at "
            f"FROM {self._schema}.inbox_dead WHERE consumer = $1 ORDER BY number LIMIT $2",
            self._consumer,
            limit,
        )
        return [Letter(**row) for row in rows]

    async def replay(self, numbers: Sequence[int], whole: bool) -> list[int]:
        """Have these tried again, with ``whole`` also what was set aside behind them; which of them could be."""
        dead = f"{self._schema}.inbox_dead"
        rows = await self._connection.fetch(
            "marking dead letters for a replay",
            f"WITH chosen AS (UPDATE {dead} SET state = 'replay' WHERE consumer = $1 AND number = ANY($2::bigint[]) "
            "AND state IN ('dead', 'replay') AND size = octet_length(body) "
            "RETURNING number, topic, partition, key), behind AS ("
            f"UPDATE {dead} d SET state = 'replay' FROM chosen c WHERE $3 AND d.consumer = $1 "
            "AND d.topic = c.topic AND d.partition = c.partition AND d.key = c.key AND d.number > c.number "
            "AND d.number <> ALL($2::bigint[]) AND d.state = 'dead' AND d.size = octet_length(d.body)) "
            "SELECT number FROM chosen ORDER BY number",
            self._consumer,
            list(numbers),
            whole,
        )
        return [row["number"] for row in rows]

    async def discard(self, numbers: Sequence[int], reason: str) -> list[int]:
        """Give these up; which of them were there."""
        rows = await self._connection.fetch(
            "discarding dead letters",
            f"UPDATE {self._schema}.inbox_dead SET state = 'discarded', note = $3, body = '', headers = '{{}}', "
            "at = now() WHERE consumer = $1 AND number = ANY($2::bigint[]) AND state IN ('dead', 'replay') "
            "RETURNING number",
            self._consumer,
            list(numbers),
            reason,
        )
        return sorted(row["number"] for row in rows)
