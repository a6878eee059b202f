"""What is in the service's database now, as far as ``plan`` must know it. Read-only."""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.outbox.database import OLDEST, Connection
from agent.outbox.feeds import Feed
from agent.outbox.names import Name
from agent.outbox.shape import Column, columns_of
from agent.outbox.sql.renumbered import Obstacles, obstacles
from agent.outbox.sql.roles import OWNER, Functions, Role, functions, role
from agent.runtime.errors import Permanent

_DOING = "looking at the service's database"

_TABLE = """
SELECT c.oid, c.relkind::text AS kind, c.relispartition AS partition, pg_get_userbyid(c.relowner) AS owner,
  ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = i.indrelid ORDER BY k.n) AS primary_key
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2"""

_INDEXES = """
SELECT x.relname AS name, i.indisvalid AS valid, x.relispartition AS attached,
  m.amname = 'btree' AND i.indpred IS NULL AND i.indexprs IS NULL AS plain,
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n) AS columns
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
WHERE i.indrelid = $1::oid"""

_PARTITIONS = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, m.nspname AS above, p.relname AS parent, c.relkind::text AS kind
FROM pg_partition_tree($1::oid::regclass) AS t
JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = t.parentrelid JOIN pg_namespace m ON m.oid = p.relnamespace
WHERE t.level > 0 ORDER BY t.level, 2, 3"""

_TRIGGERS = """
SELECT t.tgname::text AS name,
  coalesce((string_to_array(encode(t.tgargs, 'escape'), '\\000'))[t.tgnargs], '')
    || CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ' (disabled)' END AS mark
FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgname LIKE '!pillion%'"""

_SEQUENCE = """
SELECT s.seqcache AS cache, s.seqincrement AS step, s.seqcycle AS cycle,
  format('%I.%I', n.nspname, c.relname) AS name
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attname = $2
WHERE EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'i' AND d.classid = 'pg_class'::regclass
              AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
              AND d.refobjsubid = a.attnum)
  OR EXISTS (SELECT FROM pg_attrdef f JOIN pg_depend d ON d.objid = f.oid
             WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
               AND d.refobjid = c.oid AND f.adrelid = a.attrelid AND f.adnum = a.attnum)"""


@dataclass(frozen=True)
class Index:
    """An index of a table."""

    name: str
    columns: tuple[str, ...]
    valid: bool
    """False: what a concurrent build left behind that failed."""
    plain: bool
    """A B-tree over all rows."""
    attached: bool = False
    """It is a part of the index of a partitioned table."""


@dataclass(frozen=True)
class Partition:
    """A partition of an outbox table."""

    name: Name
    parent: Name
    kind: str
    indexes: tuple[Index, ...]

    @property
    def leaf(self) -> bool:
        """It holds rows, and is not partitioned itself."""
        return self.kind != "p"


@dataclass(frozen=True)
class Numbering:
    """The sequence of a column, as far as order depends on it."""

    name: str
    cache: int
    step: int
    cycle: bool


@dataclass(frozen=True)
class TableFacts:
    """One table of the service."""

    oid: int
    kind: str
    partition: bool
    owner: str
    primary_key: tuple[str, ...]
    columns: Mapping[str, Column]
    indexes: tuple[Index, ...]
    triggers: Mapping[str, str]
    """Pillion's triggers, each with its mark; one that is disabled says so in it, and so is not as wanted."""
    has_rows: bool
    """Of an outbox table only; False of the others."""
    sequences: Mapping[str, Numbering]
    """By column."""
    partitions: tuple[Partition, ...] = ()
    """Of an outbox table only: those of the table, then those of these."""
    obstacles: Obstacles = field(default_factory=Obstacles)
    """Of an outbox table only: to numbering its rows at the commit."""


@dataclass(frozen=True)
class FeedFacts:
    """What is recorded of a feed."""

    existing: str
    open: bool
    """Its buckets are there: a relay reads it."""


@dataclass(frozen=True)
class Facts:
    """The database as it is."""

    schema: str
    """What Pillion's schema is: ``absent``, ``ours`` or a sentence that says why it can't be used."""
    version: int
    installer: Role
    """Who looks, and would install."""
    owner: Role | None = None
    """The role that owns the trigger functions where a superuser installs them."""
    functions: Functions = field(default_factory=Functions)
    tables: Mapping[Name, TableFacts] = field(default_factory=dict)
    feeds: Mapping[str, FeedFacts] = field(default_factory=dict)


async def gather(
    connection: Connection, schema: str, names: Sequence[Name], outboxes: Collection[Name] = ()
) -> Facts:
    """Look; raises Transient, or Permanent where PostgreSQL is too old.

    Only of ``outboxes`` it is asked whether they have rows: who puts triggers on a table need not be allowed to
    read it.
    """
    server = int(await connection.value(_DOING, "SELECT current_setting('server_version_num')::int"))
    if server < OLDEST:
        raise Permanent(f"{_DOING}: it is PostgreSQL {server // 10000}; 14 or later is needed")
    if await connection.value(_DOING, "SELECT pg_is_in_recovery()"):
        raise Permanent(f"{_DOING}: it is a standby; outbox.database must name the primary")
    state, version = await _schema(connection, schema)
    tables = {}
    for name in names:
        found = await _table(connection, name, name in outboxes)
        if found is not None:
            tables[name] = found
    return Facts(
        state,
        version,
        await _installer(connection),
        await role(connection, _DOING, OWNER),
        await functions(connection, _DOING, schema) if version else Functions(),
        tables,
        await _feeds(connection, schema) if version else {},
    )


async def _installer(connection: Connection) -> Role:
    name = str(await connection.value(_DOING, "SELECT current_user::text"))
    return await role(connection, _DOING, name) or Role(name, False)


async def _schema(connection: Connection, schema: str) -> tuple[str, int]:
    rows = await connection.fetch(
        _DOING,
        "SELECT pg_has_role(nspowner, 'USAGE') AS mine, to_regclass(format('%I.version', nspname)) "
        "IS NOT NULL AS known "
        "FROM pg_namespace WHERE nspname = $1",
        schema,
    )
    if not rows:
        return "absent", 0
    # Who owns the schema could put other objects in place of ours, which run with our rights.
    if not rows[0]["mine"]:
        return f"the schema {schema} belongs to another role; run this as its owner, or set outbox.schema", 0
    if not rows[0]["known"]:
        return (
            f"the schema {schema} is there, but Pillion did not make it; set outbox.schema to another name",
            0,
        )
    quoted = '"' + schema + '"'
    return "ours", int(await connection.value(_DOING, f"SELECT max(version) FROM {quoted}.version") or 0)


async def _feeds(connection: Connection, schema: str) -> dict[str, FeedFacts]:
    quoted = '"' + schema + '"'
    rows = await connection.fetch(
        _DOING,
        f"SELECT f.feed, f.existing, EXISTS (SELECT FROM {quoted}.bucket b WHERE b.feed = f.feed) AS "
        f"open FROM {quoted}.feed f",
    )
    return {row["feed"]: FeedFacts(row["existing"], row["open"]) for row in rows}


async def _table(connection: Connection, name: Name, is_outbox: bool) -> TableFacts | None:
    rows = await connection.fetch(_DOING, _TABLE, name.schema, name.table)
    if not rows:
        return None
    row, oid = rows[0], rows[0]["oid"]
    columns = await columns_of(connection, Feed(str(name), name, False))
    triggers = await connection.fetch(_DOING, _TRIGGERS, oid)
    counted = is_outbox and row["kind"] in ("r", "p")
    return TableFacts(
        oid=oid,
        kind=row["kind"],
        partition=row["partition"],
        owner=row["owner"],
        primary_key=tuple(row["primary_key"]),
        columns=columns,
        indexes=await _indexes(connection, oid),
        triggers={each["name"]: each["mark"] for each in triggers},
        has_rows=counted and bool(await connection.value(_DOING, f"SELECT EXISTS (SELECT FROM {name.sql})")),
        sequences=await _sequences(connection, oid, columns),
        partitions=await _partitions(connection, oid) if counted and row["kind"] == "p" else (),
        obstacles=await obstacles(connection, oid, _DOING) if counted else Obstacles(),
    )


async def _indexes(connection: Connection, oid: int) -> tuple[Index, ...]:
    return tuple(
        Index(row["name"], tuple(row["columns"]), row["valid"], row["plain"], row["attached"])
        for row in await connection.fetch(_DOING, _INDEXES, oid)
    )


async def _partitions(connection: Connection, oid: int) -> tuple[Partition, ...]:
    return tuple(
        [
            Partition(
                Name(row["schema"], row["name"]),
                Name(row["above"], row["parent"]),
                row["kind"],
                await _indexes(connection, row["oid"]),
            )
            for row in await connection.fetch(_DOING, _PARTITIONS, oid)
        ]
    )


async def _sequences(connection: Connection, oid: int, columns: Mapping[str, Column]) -> dict[str, Numbering]:
    found = {}
    for column in columns.values():
        numbering = await numbered(connection, oid, column.name) if column.numbered else None
        if numbering is not None:
            found[column.name] = numbering
    return found


async def numbered(connection: Connection, oid: int, column: str) -> Numbering | None:
    """The sequence that fills a column of the table of that oid; raises Transient."""
    rows = await connection.fetch(_DOING, _SEQUENCE, oid, column)
    return (
        Numbering(rows[-1]["name"], rows[-1]["cache"], rows[-1]["step"], rows[-1]["cycle"]) if rows else None
    )
