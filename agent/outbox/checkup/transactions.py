"""Transactions that are open for long: the events that they wrote are not to be seen, nothing that was deleted since
can be cleared away, and neither `pillion outbox init` nor the service's own migrations get their locks."""

from agent.outbox.checkup import Remark
from agent.outbox.database import Connection, Row
from agent.runtime.words import plain

LONG = 60.0
"""Seconds."""
MANY = 100000
"""Transactions that began since: what a transaction whose age may not be seen is judged by."""

_OPEN = """
SELECT pid, left(coalesce(nullif(application_name, ''), 'without a name'), 60) AS name, usename::text AS role, state,
  extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age,
  coalesce(greatest(age(backend_xid), age(backend_xmin)), 0)::int8 AS behind, backend_xid IS NOT NULL AS writes
FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND usesysid IS NOT NULL
  AND backend_type IS DISTINCT FROM 'parallel worker'
  AND (xact_start IS NOT NULL OR backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
ORDER BY age DESC NULLS LAST, behind DESC LIMIT 20"""
"""Of somebody: autovacuum, which works long on a large table and steps aside for whoever waits, has no role; a parallel
worker is part of another one's."""

_PREPARED = """
SELECT left(gid, 60) AS gid, owner::text AS role, extract(epoch FROM clock_timestamp() - prepared)::float8 AS age
FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 20"""

_ID = "outbox.transactions"


async def transactions(connection: Connection, doing: str, long: float = LONG) -> list[Remark]:
    """``outbox.transactions``: one remark for each that is open for ``long`` seconds; raises Transient or Permanent."""
    found = []
    for row in await connection.fetch(doing, _OPEN):
        told = _told(row, long)
        if told:
            todo = (
                f"See what it waits for; SELECT pg_terminate_backend({row['pid']}) ends it and what it did."
            )
            found.append(Remark(_ID, "warning", f"the transaction of process {row['pid']}", told, todo))
    for row in await connection.fetch(doing, _PREPARED):
        if row["age"] >= long:
            told = f"prepared by {row['role']} {row['age']:.0f} s ago and neither committed nor rolled back: {_HARM}"
            todo = "Whoever prepared it must decide: COMMIT PREPARED or ROLLBACK PREPARED."
            found.append(Remark(_ID, "warning", f"the prepared transaction {plain(row['gid'])}", told, todo))
    return found or [Remark(_ID, "ok", "open transactions", f"none is open for {long:g} s")]


_HARM = "its events wait, dead rows pile up behind it, and who needs a table's lock waits"


def _told(row: Row, long: float) -> str:
    who = f"{plain(row['name'])}, role {row['role']}"
    state = f", {row['state']}" if row["state"] else ""
    harm = _HARM if row["writes"] else _HARM.partition(", ")[2]
    if row["age"] is not None and row["age"] >= long:
        return f"open for {row['age']:.0f} s ({who}{state}): {harm}"
    if row["age"] is None and row["behind"] >= MANY:
        hidden = "for how long may not be seen without pg_read_all_stats"
        return f"open while {row['behind']} others began ({who}; {hidden}): {harm}"
    return ""
