"""Of each feed: whether it is prepared here, numbered in order, and read by its indexes."""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agent.config.sections.outbox import Outbox
from agent.outbox import identity, shape
from agent.outbox.checkup import INIT, Remark
from agent.outbox.cursor import BUCKETS
from agent.outbox.database import Connection
from agent.outbox.feeds import Feed
from agent.outbox.names import identifier
from agent.outbox.snapshot import Snapshot
from agent.outbox.sql import VERSION
from agent.outbox.sql.facts import numbered
from agent.runtime.errors import Permanent

LARGE = 1000
"""Pages of a table (8 kB each) from which on reading all of it is not what the planner should choose."""

_INDEXES = """
SELECT i.indisvalid AS valid,
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n) AS columns
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
WHERE i.indrelid = $1::text::regclass AND m.amname = 'btree' AND i.indpred IS NULL AND i.indexprs IS NULL"""

_SIZES = """
SELECT c.relname::text AS name, (pg_relation_size(c.oid) / current_setting('block_size')::int)::int8 AS pages
FROM pg_class c WHERE c.oid = $1::text::regclass
  OR c.oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))"""


async def prepared(connection: Connection, settings: Outbox, feed: Feed, doing: str) -> Remark:
    """``outbox.prepared``; raises Transient or Permanent."""
    schema, subject = identifier(settings.schema), f"the outbox {feed.name}"
    version = int(await connection.value(doing, f"SELECT max(version) FROM {schema}.version") or 0)
    if version > VERSION:
        found = f"the schema {settings.schema} is of version {version}, this Pillion knows {VERSION}"
        todo = "Take the Pillion that prepared it, or a later one."
        return Remark("outbox.prepared", "problem", subject, found, todo)
    home = await identity.look(connection, settings.schema, feed.name, doing)
    count = await connection.value(doing, f"SELECT count(*) FROM {schema}.bucket WHERE feed = $1", feed.name)
    if home is None or count != BUCKETS:
        return Remark("outbox.prepared", "problem", subject, "it is not prepared, or only in part", INIT)
    try:
        identity.checked(home, doing)
        await shape.look(connection, feed)
    except identity.ForeignError as error:
        todo = "See docs/outbox-restore.md: `pillion outbox adopt`."
        return Remark("outbox.prepared", "problem", subject, str(error), todo)
    except Permanent as error:
        return Remark("outbox.prepared", "problem", subject, str(error), INIT)
    if version < VERSION:
        found = f"its schema is of version {version}, this Pillion makes {VERSION}"
        return Remark("outbox.prepared", "warning", subject, found, INIT)
    return Remark("outbox.prepared", "ok", subject, "it is prepared, in this database")


async def _number(connection: Connection, feed: Feed) -> str:
    return "id" if feed.own else shape.order(feed, await shape.columns_of(connection, feed))


async def sequence(connection: Connection, feed: Feed, doing: str) -> Remark:
    """``outbox.sequence``; raises Transient or Permanent."""
    column = await _number(connection, feed)
    subject = f"what numbers the rows of {feed.name}"
    oid = await connection.value(doing, "SELECT $1::text::regclass::oid::int8", feed.table.sql)
    found = await numbered(connection, oid, column)
    if found is None:
        lost = f"no sequence fills its column {column}"
        return Remark("outbox.sequence", "problem", subject, lost, f"Give it back its default. {INIT}")
    if found.cache != 1 or found.step != 1 or found.cycle:
        odd = (
            f"{found.name} has CACHE {found.cache}, INCREMENT {found.step}{', CYCLE' if found.cycle else ''}"
        )
        told = f"{odd}: numbers are not given out in the order of the writes, so that events of a key may be inverted"
        todo = f"Run ALTER SEQUENCE {found.name} CACHE 1 INCREMENT BY 1 NO CYCLE."
        return Remark("outbox.sequence", "problem", subject, told, todo)
    return Remark("outbox.sequence", "ok", subject, f"{found.name}, one by one")


async def index(connection: Connection, settings: Outbox, feed: Feed, doing: str) -> Remark:
    """``outbox.index``: whether the indexes are there, and whether a poll that is up to date uses them."""
    number, subject = await _number(connection, feed), f"how {feed.name} is read"
    rows = await connection.fetch(doing, _INDEXES, feed.table.sql)
    valid = [tuple(row["columns"]) for row in rows if row["valid"]]
    missing = [" and ".join(each) for each in (("xid", number), (number,)) if not _leads(each, valid)]
    if missing:
        found = f"it has no valid index by {', nor by '.join(missing)}: each poll reads the whole table"
        return Remark("outbox.index", "problem", subject, found, INIT)
    sizes = {row["name"]: row["pages"] for row in await connection.fetch(doing, _SIZES, feed.table.sql)}
    whole = [
        each for each in await _read_whole(connection, settings, feed, doing) if sizes.get(each, 0) >= LARGE
    ]
    if whole:
        found = f"PostgreSQL would read all of {', '.join(whole)} at each poll, though there is an index"
        todo = (
            "End transactions that were open when the index was made (outbox.transactions tells them): before that "
            "PostgreSQL may not use it."
        )
        return Remark("outbox.index", "warning", subject, found, todo)
    return Remark("outbox.index", "ok", subject, "by its index")


def _leads(wanted: tuple[str, ...], valid: list[tuple[str, ...]]) -> bool:
    return any(each[: len(wanted)] == wanted for each in valid)


async def _read_whole(connection: Connection, settings: Outbox, feed: Feed, doing: str) -> list[str]:
    """The tables that a poll which is up to date would read as a whole; for a backlog that may be right."""
    table = await shape.look(connection, feed)
    base = Snapshot.parse(await connection.value(doing, "SELECT pg_current_snapshot()::text"))
    told = await connection.value(
        doing,
        f"EXPLAIN (FORMAT JSON) {table.poll}",
        str(base.xmax),
        [str(xid) for xid in base.xip],
        list(range(BUCKETS)),
        settings.page + 1,
        1048576,
    )
    return sorted(
        {
            str(node.get("Relation Name"))
            for node in nodes(json.loads(told)[0]["Plan"])
            if node.get("Node Type") == "Seq Scan"
        }
    )


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)
