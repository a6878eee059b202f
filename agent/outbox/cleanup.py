"""Deleting published rows of Pillion's own table when they are older than the retention.

A row may go when the *saved* place covers it and it is not set aside. A place is saved only after what it covers was
acknowledged or appended to ``held_row``, so one snapshot that sees the place sees the append too.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

import asyncio
import random
from collections.abc import Callable

import structlog

from agent.outbox import identity
from agent.outbox.database import Database
from agent.outbox.metrics import Metrics
from agent.outbox.names import identifier
from agent.runtime.errors import PillionError

log = structlog.get_logger(__name__)

BATCH = 1000
PAUSE = 60.0
"""Seconds between two rounds; between two batches of a round a short rest."""


class Cleaner:
    """Cleans up one feed."""

    def __init__(
        self, database: Database, schema: str, feed: str, retention: float, metrics: Metrics
    ) -> None:
        """``retention`` in seconds, above 0."""
        self._database = database
        self._schema = schema
        self._feed = feed
        self._retention = retention
        self._metrics = metrics
        quoted = identifier(schema)
        self._start = 0
        # A chunk of rows by id, and never the whole table. What the *saved* position covers may go: a relay that
        # starts from it asks for none of these rows again.
        self._sql = (
            "WITH chunk AS MATERIALIZED (SELECT id, xid, bucket, "
            "created < now() - make_interval(secs => $2::float8) AS old "
            f"FROM {quoted}.outbox WHERE id > $3::int8 ORDER BY id LIMIT {BATCH}), "
            f"gone AS (DELETE FROM {quoted}.outbox WHERE id = ANY (ARRAY(SELECT o.id FROM chunk o "
            f"JOIN {quoted}.bucket b ON b.feed = $1 AND b.bucket = o.bucket WHERE o.old AND "
            "(pg_visible_in_snapshot(o.xid, b.base) "
            "OR (b.target IS NOT NULL AND pg_visible_in_snapshot(o.xid, b.target) AND o.id <= b.pos)) "
            f"AND NOT EXISTS (SELECT FROM {quoted}.held_row h WHERE h.feed = $1 AND h.row_id = o.id))) "
            "RETURNING id) SELECT count(*)::int8 AS seen, coalesce(bool_and(old), false) AS old, max(id) AS last, "
            "(SELECT count(*) FROM gone)::int8 AS gone, "
            "min(id) FILTER (WHERE id NOT IN (SELECT id FROM gone)) AS kept FROM chunk"
        )

    async def run(self, mine: Callable[[], bool]) -> None:
        """Clean up for ever, in the rounds that are ``mine``; what fails is tried again in the next one. That two clean
        up at once loses nothing."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1) * min(PAUSE, self._retention))  # noqa: S311 - jitter
            if not mine():
                continue
            try:
                await self.round()
            except PillionError as error:
                log.warning("outbox.cleanup_failed", feed=self._feed, error=str(error))

    async def round(self) -> int:
        """Delete all that may go; how many rows that were. Raises Transient or Permanent."""
        total, after = 0, self._start
        start: int | None = None
        doing = f"cleaning up {self._feed}"
        async with self._database.connection() as connection:
            # The address may lead elsewhere by now, where the saved position means nothing.
            home = await identity.look(connection, self._schema, self._feed, doing)
            if home is None:
                return total
            identity.checked(home, doing)
            while True:
                (chunk,) = await connection.fetch(doing, self._sql, self._feed, self._retention, after)
                total += int(chunk["gone"])
                self._metrics.cleaned.labels(self._feed).inc(chunk["gone"])
                if start is None and chunk["kept"] is not None:
                    start = chunk["kept"] - 1
                after = chunk["last"] or after
                if chunk["seen"] < BATCH or not chunk["old"]:
                    # The next round begins at the first row that was kept: below it there is nothing.
                    self._start = after if start is None else start
                    return total
                await asyncio.sleep(0.1)
