"""Giving a restored feed's rows and positions numbers of this cluster's transactions.

The rows' own ``xid`` are of the cluster that was lost. But each row version also has PostgreSQL's ``xmin``, the
transaction that wrote it *here*: the one that loaded the dump, or the service's own since then. Loading ended before
the table's first index was made, as pg_restore makes indexes after all data, so the index tells the two apart.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from dataclasses import dataclass

from agent.outbox import shape
from agent.outbox.database import Connection
from agent.outbox.feeds import Feed
from agent.outbox.names import identifier, literal
from agent.outbox.snapshot import Snapshot
from agent.outbox.sql.facts import numbered
from agent.runtime.errors import Permanent

LONG_AGO = "'3'::xid8"
"""The first transaction of every cluster: each snapshot that is taken from now on sees it."""

_BORDER = """
SELECT $1::int8 - max(age(i.xmin)) AS border FROM pg_index i WHERE i.indrelid = $2::text::regclass"""

_TRIGGERS = """
SELECT p.relid::regclass::text AS place, t.tgname::text AS name, t.tgenabled::text AS state
FROM (SELECT relid, level FROM pg_partition_tree($1::text::regclass) UNION SELECT $1::text::regclass, 0) p
JOIN pg_trigger t ON t.tgrelid = p.relid LEFT JOIN pg_trigger whole ON whole.oid = t.tgparentid
WHERE (NOT t.tgisinternal OR (whole.oid IS NOT NULL AND t.tgconstraint = 0))
  AND whole.tgenabled IS DISTINCT FROM t.tgenabled ORDER BY p.level"""
"""Without a partition's copy of its table's trigger that is as that is: it follows it by itself (PostgreSQL's
documentation of ALTER TABLE, "DISABLE/ENABLE TRIGGER")."""

_STATES = {"O": "ENABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS", "D": "DISABLE"}


@dataclass(frozen=True)
class Counts:
    """What was found."""

    published: int
    unpublished: int
    written: int
    """Rows that were written here, after the restore."""
    last: int | None
    """No row up to here was written here, and every one above was, or will be; None: that was not asked."""


async def restamp(connection: Connection, schema: str, feed: Feed, doing: str) -> Counts:
    """Make this cluster's of what was restored, in a transaction that has locked the table against writers. Raises
    Transient or Permanent."""
    table = await shape.look(connection, feed)
    here = int(await connection.value(doing, "SELECT pg_current_xact_id()::text::int8"))
    # What this transaction writes is read from there on.
    now = Snapshot.parse(await connection.value(doing, "SELECT pg_current_snapshot()::text"))
    base = str(now.without(here))
    border = await _border(connection, feed, here, doing)
    off = await _without_triggers(connection, feed, doing)
    (found,) = await connection.fetch(doing, _judging(schema, feed, table), feed.name, base, border, here)
    await connection.execute(doing, off)
    reached = await connection.value(
        doing,
        f"SELECT max(pos) FROM {identifier(schema)}.bucket WHERE feed = $1 AND target IS NOT NULL",
        feed.name,
    )
    last = await _sequence_above(connection, feed, max(found["highest"] or 0, reached or 0), doing)
    await connection.execute(
        doing,
        f"UPDATE {identifier(schema)}.bucket SET base = $2::text::pg_snapshot, target = NULL, pos = 0 WHERE feed = $1",
        feed.name,
        base,
    )
    if found["first_written"] is not None:
        last = found["first_written"] - 1
    return Counts(found["published"], found["unpublished"], found["written"], last)


async def continues(connection: Connection, schema: str, feed: Feed, doing: str) -> None:
    """Whether the positions can be of this cluster, whose counter goes on after pg_upgrade; raises Permanent."""
    here = int(await connection.value(doing, "SELECT pg_current_xact_id()::text::int8"))
    border = await _border(connection, feed, here, doing)
    reached = await connection.value(
        doing,
        "SELECT max(greatest(pg_snapshot_xmax(base), pg_snapshot_xmax(coalesce(target, base)))::text::int8) "
        f"FROM {identifier(schema)}.bucket WHERE feed = $1",
        feed.name,
    )
    if reached > border:
        raise Permanent(
            f"{doing}: the saved position is ahead of this cluster's transactions ({reached}, here {border}), so it "
            "does not come from pg_upgrade; nothing was changed; run `pillion outbox adopt --restored`"
        )


async def _border(connection: Connection, feed: Feed, here: int, doing: str) -> int:
    # Everything that was loaded is older than the oldest index, everything that was written since is newer.
    border = await connection.value(doing, _BORDER, here, feed.table.sql)
    if border is None:
        raise Permanent(f"{doing}: its indexes are missing; run `pillion outbox init`, then this again")
    return int(border)


def _judging(schema: str, feed: Feed, table: shape.Shape) -> str:
    """$1 feed, $2 the snapshot, $3 the border, $4 this transaction: judge each row by the restored positions, and give
    it a number where its own can't stay."""
    ledger = identifier(schema)
    return (
        "WITH there AS (SELECT tableoid AS part, ctid AS place, xid, xid::text::int8 AS number, "
        f"$4::int8 - age(xmin) AS loaded, {table.id}::int8 AS id, {table.bucket} AS bucket FROM {feed.table.sql}), "
        "known AS (SELECT *, loaded > $3::int8 AND number > $3::int8 "
        "AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot) AS written FROM there), "
        "judged AS MATERIALIZED (SELECT k.*, k.id IS NULL OR (NOT k.written AND "
        "(pg_visible_in_snapshot(k.xid, b.base) OR (b.target IS NOT NULL "
        "AND pg_visible_in_snapshot(k.xid, b.target) AND k.id <= b.pos))) AS published "
        f"FROM known k LEFT JOIN {ledger}.bucket b ON b.feed = $1 AND b.bucket = k.bucket), "
        f"stamped AS (UPDATE {feed.table.sql} AS t SET xid = CASE WHEN j.published THEN {LONG_AGO} "
        "ELSE $4::int8::text::xid8 END FROM judged j "
        "WHERE t.tableoid = j.part AND t.ctid = j.place AND (NOT j.published "
        # A row may not seem older than what loaded it, nor be out of the sight of the new position.
        "OR j.number > j.loaded OR NOT pg_visible_in_snapshot(j.xid, $2::text::pg_snapshot)) RETURNING 1) "
        "SELECT count(*) FILTER (WHERE published AND id IS NOT NULL) AS published, "
        "count(*) FILTER (WHERE NOT published AND NOT written) AS unpublished, "
        "count(*) FILTER (WHERE written) AS written, max(id) AS highest, "
        "min(id) FILTER (WHERE written) AS first_written, (SELECT count(*) FROM stamped) AS stamped FROM judged"
    )


async def _without_triggers(connection: Connection, feed: Feed, doing: str) -> str:
    """Turn the service's triggers on the table and its partitions off, which this is no business of; the SQL that turns
    them on again as they were."""
    rows = await connection.fetch(doing, _TRIGGERS, feed.table.sql)
    for row in rows:
        if row["state"] != "D":
            await connection.execute(
                doing, f"ALTER TABLE {row['place']} DISABLE TRIGGER {identifier(row['name'])}"
            )
    # In the same order: what is said of a table counts for its partitions' copies of the trigger too.
    on = [
        f"ALTER TABLE {row['place']} {_STATES[row['state']]} TRIGGER {identifier(row['name'])};"
        for row in rows
    ]
    return "\n".join(["SELECT;", *on])


async def _sequence_above(connection: Connection, feed: Feed, highest: int, doing: str) -> int:
    """See that the next number is above ``highest``; the number below the next."""
    column = "id" if feed.own else shape.order(feed, await shape.columns_of(connection, feed))
    oid = await connection.value(doing, "SELECT $1::text::regclass::oid::int8", feed.table.sql)
    numbering = await numbered(connection, oid, column)
    if numbering is None:
        raise Permanent(
            f"{doing}: no sequence fills its {column}; run `pillion outbox init`, then this again"
        )
    (row,) = await connection.fetch(doing, f"SELECT last_value, is_called FROM {numbering.name}")
    last = int(row["last_value"]) - (not row["is_called"])
    if last >= highest:
        return last
    await connection.execute(doing, f"SELECT setval({literal(numbering.name)}, {highest})")
    return highest
