"""What a feed's table looks like now, and the queries that this makes. The SQL is read-only."""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.outbox.cursor import BUCKETS
from agent.outbox.database import Connection
from agent.outbox.events import LONGEST_ATTRIBUTE, STEM
from agent.outbox.feeds import Feed, column, missing
from agent.outbox.names import identifier, literal
from agent.runtime.errors import Permanent

COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, a.attnum::int AS number,
       a.attidentity <> '' OR (
         pg_get_expr(d.adbin, d.adrelid) ~ '^nextval[(].*::regclass[)]$'
         AND EXISTS (SELECT FROM pg_depend p JOIN pg_sequence s ON s.seqrelid = p.refobjid
                     WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
                       AND p.refclassid = 'pg_class'::regclass)
       ) AS numbered,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
               AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
              ) AS alone,
       a.attnotnull AND pg_get_expr(d.adbin, d.adrelid) = 'pg_current_xact_id()' AS written
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"""

INTEGERS = frozenset({"bigint", "integer", "smallint"})
_MADE = "pillion_body"
_NAMED = "pillion_key"
ADDED = "pillion_id"
"""The sequence column that ``init`` adds where the table has none of its own."""

AT_COMMIT = "!pillion_commit"
"""The trigger that numbers the rows of a table anew as their transaction commits."""

RENUMBERED = """
SELECT EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND t.tgname = $3
    AND t.tgenabled IN ('O', 'A') AND t.tgdeferrable AND t.tginitdeferred)"""
"""$1 schema, $2 table, $3 trigger: whether it is there and at work."""
_SHORT = f"left({{}}, {LONGEST_ATTRIBUTE + 1})"
_KEY = (
    f"CASE WHEN octet_length({_NAMED}) <= {LONGEST_ATTRIBUTE} OR length({_NAMED}) <= {LONGEST_ATTRIBUTE} "
    f"THEN {_NAMED} ELSE left({_NAMED}, {STEM}) || encode(sha256(convert_to({_NAMED}, 'UTF8')), 'hex') END"
)
"""As ``events.shortened``."""
_BUCKET = (
    "(CASE WHEN {key} IS NULL THEN {id} & 63 "
    "ELSE get_byte(sha256(convert_to({key}, 'UTF8')), 0) & 63 END)::int2"
)
_BODY = {"json": "convert_to({c}::text, 'UTF8')", "jsonb": "convert_to({c}::text, 'UTF8')", "bytea": "{c}"}
_CONTENT = {"json": "application/json", "jsonb": "application/json", "bytea": "application/octet-stream"}


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    numbered: bool
    """It is an identity, or its default is the next value of a sequence and nothing but that."""
    written: bool = False
    """It is never NULL, and by default the number of the transaction that writes the row."""
    alone: bool = False
    """A unique index is on it and on nothing else: no two rows have the same value."""
    number: int = 0
    """Its number in the catalogue, which stays when it is renamed."""


@dataclass(frozen=True)
class Shape:
    """A feed's table as SQL: each attribute is an expression over its columns."""

    table: str
    source: str
    """The table beside each row's body and key, which are made once a row."""
    id: str
    bucket: str
    selected: str
    """The select list: id, bucket, event, origin, key, kind, type, body, size, traceparent, tracestate,
    created."""
    content: str
    """Media type of the bodies."""
    key: str
    """What the events are ordered by."""
    every: bool = False
    """Rows of all buckets are read, whoever has them."""

    @property
    def bare(self) -> "Shape":
        """The same with no more of a row than id, bucket and key: where the rest of some row can't be read."""
        selected = f"{self.id}::int8 AS id, {self.bucket} AS bucket, {_KEY} AS key"
        nothing = "NULL::bytea AS body, NULL::int4 AS size, $5::int4 AS longest"
        source = f"{self.table} CROSS JOIN LATERAL (SELECT {self.key} OFFSET 0) AS pillion({_NAMED})"
        return replace(self, source=source, selected=f"{selected}, {nothing}")

    @property
    def blind(self) -> "Shape":
        """The same with no more of a row than its id, and of all buckets: where some key can't be read, and so not
        what bucket it is in."""
        return replace(self, bucket="NULL::int2", key="NULL::text", every=True).bare

    @property
    def _mine(self) -> str:
        if self.every:
            return "cardinality($3::int2[]) > 0"
        # Who has all buckets need not have the key of each row hashed; the planner sees it, for it knows the values.
        return f"(cardinality($3::int2[]) = {BUCKETS} OR {self.bucket} = ANY($3::int2[]))"

    @property
    def poll(self) -> str:
        """$1 xmax, $2 xip, $3 buckets, $4 rows, $5 longest body: what base does not see, and the snapshot
        that sees it."""
        part = "(SELECT {0} FROM {1} WHERE {2} AND {3} LIMIT $4)"
        new = part.format(self.selected, self.source, "xid >= $1::text::xid8", self._mine)
        late = part.format(self.selected, self.source, "xid = ANY($2::text[]::xid8[])", self._mine)
        return (
            "SELECT s.c::text AS snapshot, (pg_current_wal_insert_lsn() - '0/0')::int8 AS wal, "
            "(pg_current_wal_flush_lsn() - '0/0')::int8 AS flushed, r.* "
            f"FROM (SELECT pg_current_snapshot() AS c) s LEFT JOIN LATERAL ({new} UNION ALL {late}) r ON true LIMIT $4"
        )

    @property
    def named(self) -> str:
        """$1 ids, $5 longest body: these rows in this order, nothing but NULL for one that is not there."""
        # The select list counts on a fifth parameter, and PostgreSQL on a type for each before it.
        return (
            f"SELECT r.* FROM unnest($1::int8[]) WITH ORDINALITY AS pillion_wanted (number, place) "
            f"LEFT JOIN LATERAL (SELECT {self.selected} FROM {self.source} WHERE {self.id} = pillion_wanted.number "
            "AND coalesce($2::int4, $3::int4, $4::int4) IS NULL LIMIT 1) r ON true ORDER BY pillion_wanted.place"
        )

    @property
    def floor(self) -> str:
        """$1 xmax, $2 xip: the lowest id that base does not see."""
        return (
            f"SELECT least((SELECT min({self.id}) FROM {self.table} WHERE xid >= $1::text::xid8), "
            f"(SELECT min({self.id}) FROM {self.table} WHERE xid = ANY($2::text[]::xid8[])))::int8 AS floor"
        )

    @property
    def walk(self) -> str:
        """$1 after, $2 base, $3 buckets, $4 rows, $5 longest body, $6 target, $7 last: a page of a fixed
        tick, in order of id."""
        # What lies between two snapshots lies between these two numbers, and those an index finds.
        return (
            f"SELECT (pg_current_wal_insert_lsn() - '0/0')::int8 AS wal, {self.selected} FROM {self.source} "
            f"WHERE {self.id} > $1::int8 AND {self.id} <= $7::int8 "
            "AND xid >= pg_snapshot_xmin($2::text::pg_snapshot) "
            f"AND xid < pg_snapshot_xmax($6::text::pg_snapshot) AND {self._mine} "
            "AND NOT pg_visible_in_snapshot(xid, $2::text::pg_snapshot) "
            f"AND pg_visible_in_snapshot(xid, $6::text::pg_snapshot) ORDER BY {self.id} LIMIT $4"
        )


def own(feed: Feed) -> Shape:
    """The shape of Pillion's own table."""
    return _shape(
        feed.table.sql,
        "id",
        "bucket",
        {
            "event": "event::text",
            "origin": "origin",
            "key": "key",
            "kind": "origin",
            "type": "type",
            "body": "convert_to(payload::text, 'UTF8')",
            "traceparent": "traceparent",
            "tracestate": "tracestate",
            "created": """to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
        },
        "application/json",
    )


def of_table(feed: Feed, columns: Mapping[str, Column]) -> Shape:
    """The shape of a table that the service writes; raises Permanent when it can't be read as the settings
    say."""
    lacking = missing(feed, columns)
    if lacking or not columns:
        what = (
            f"has no column {', '.join(lacking)}"
            if columns
            else "does not exist, or the relay's role may not see it"
        )
        raise Permanent(f"reading the outbox table {feed.name}: it {what}; see outbox.tables")
    if "xid" not in columns or columns["xid"].type != "xid8":
        raise Permanent(
            f"reading the outbox table {feed.name}: it is not prepared; run `pillion outbox init`"
        )
    number = order(feed, columns)
    if number not in columns:
        raise Permanent(
            f"reading the outbox table {feed.name}: it has no column {number}; run `pillion outbox init`"
        )
    text = {each: _text(name) for each, name in feed.columns.items() if column(name) in columns}
    key = text.get("key", "NULL::text")
    payload = columns[feed.columns["payload"]]
    body = _BODY.get(payload.type, "convert_to({c}::text, 'UTF8')").format(c=identifier(payload.name))
    return _shape(
        feed.table.sql,
        identifier(number),
        _BUCKET.format(key=key, id=identifier(number)),
        {
            "event": text["id"] if _is_identity(columns[feed.columns["id"]]) else "NULL::text",
            "origin": f"{literal(str(feed.table))}::text",
            "key": key,
            "kind": text.get("aggregatetype", "NULL::text"),
            "type": text.get("type", "NULL::text"),
            "body": body,
            "traceparent": text.get("traceparent", "NULL::text"),
            "tracestate": "NULL::text",
            "created": "NULL::text",
        },
        _CONTENT.get(payload.type, feed.content or "text/plain; charset=utf-8"),
    )


def _text(mapped: str) -> str:
    """A column's value as text, or that of a string in the JSON object that it holds."""
    name, _, member = mapped.partition("->>")
    if not member:
        return f"{identifier(name)}::text"
    # Not by the JSON operators: a single row that they can't read would fail the reading of all. A quote within a
    # string has a backslash before it, so this can't match there.
    pattern = rf'"{re.escape(member)}"\s*:\s*"((?:[^"\\]|\\.)*)"'
    return f"substring({identifier(name)}::text FROM {literal(pattern)})"


def order(feed: Feed, columns: Mapping[str, Column]) -> str:
    """The column that numbers the rows: the table's own where a sequence fills it, else the one that
    ``init`` adds, and where that is there it stays so. What is numbered at the commit is always that one: the service's
    own number is not ours to change."""
    if ADDED in columns or feed.by_commit:
        return ADDED
    mapped = columns.get(feed.columns["id"])
    return mapped.name if mapped is not None and mapped.type in INTEGERS and mapped.numbered else ADDED


def _is_identity(column: Column) -> bool:
    # Anything else may come again, in this table or in another one: a broker would drop the second event as a
    # duplicate. Such a row's id is made from its table, number and content.
    return column.type == "uuid" and column.alone


async def columns_of(connection: Connection, feed: Feed) -> dict[str, Column]:
    """The columns of a feed's table by name; empty when there is no such table."""
    rows = await connection.fetch(
        f"looking at the columns of {feed.name}", COLUMNS, feed.table.schema, feed.table.table
    )
    return {
        row["name"]: Column(
            row["name"], row["type"], row["numbered"], bool(row["written"]), row["alone"], row["number"]
        )
        for row in rows
    }


async def look(connection: Connection, feed: Feed) -> Shape:
    """The feed's shape as it is in the database now; raises Transient or Permanent."""
    if feed.own:
        return own(feed)
    found = of_table(feed, await columns_of(connection, feed))
    if feed.by_commit and not await _is_renumbered(connection, feed):
        raise Permanent(
            f"reading the outbox table {feed.name}: its rows are not numbered at the commit, as order: commit of "
            "outbox.tables asks; run `pillion outbox init`"
        )
    return found


async def _is_renumbered(connection: Connection, feed: Feed) -> bool:
    return bool(
        await connection.value(
            f"looking at the triggers of {feed.name}",
            RENUMBERED,
            feed.table.schema,
            feed.table.table,
            AT_COMMIT,
        )
    )


def _shape(table: str, number: str, bucket: str, fields: Mapping[str, str], content: str) -> Shape:
    lateral = f"(SELECT {fields['body']}, {fields['key']} OFFSET 0) AS pillion({_MADE}, {_NAMED})"
    source = f"{table} CROSS JOIN LATERAL {lateral}"
    listed = [f"{number}::int8 AS id", f"{bucket} AS bucket"]
    for name, expression in fields.items():
        if name == "body":
            # A body that the broker will refuse anyway is not fetched: it might not fit into memory.
            listed.append(f"CASE WHEN octet_length({_MADE}) <= $5::int4 THEN {_MADE} END AS body")
            listed.append(f"octet_length({_MADE}) AS size")
        elif name == "key":
            listed.append(f"{_KEY} AS key")
        else:
            # What is longer is refused, and must not fill the memory before it is.
            listed.append(f"{_SHORT.format(expression)} AS {name}")
    return Shape(table, source, number, bucket, ", ".join(listed), content, fields["key"])
