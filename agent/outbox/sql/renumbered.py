"""What stands in the way of numbering a table's rows anew as their transactions commit. Read-only."""

from dataclasses import dataclass

from agent.outbox.database import Connection
from agent.outbox.names import Name
from agent.outbox.shape import AT_COMMIT

_LOOK = """
WITH tree AS (SELECT $1::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relrowsecurity AS secured,
  f.owner, f.owner IS NOT NULL AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
    AND a.attname IN ('ctid', 'tableoid', 'xid', 'pillion_id') AND NOT (
      has_column_privilege(f.owner, c.oid, a.attnum, 'SELECT')
      AND (a.attname <> 'pillion_id' OR has_column_privilege(f.owner, c.oid, a.attnum, 'UPDATE')))) AS denied,
  c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) AS heirs,
  ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    AND t.tgtype & 16 <> 0 AND cardinality(t.tgattr::int2[]) = 0 AND t.tgname NOT LIKE '!pillion%'
    ORDER BY 1) AS triggers,
  (c.relreplident = 'n' OR c.relreplident = 'd'
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
  AND EXISTS (SELECT FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname
    WHERE p.pubupdate AND t.schemaname = n.nspname AND t.tablename = c.relname) AS anonymous
FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT pg_get_userbyid(p.proowner)::text AS owner FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
  WHERE t.tgrelid = $1::oid AND t.tgname = $2) f ON true ORDER BY 1, 2"""


@dataclass(frozen=True)
class Obstacles:
    """Of a table with its partitions."""

    denied: tuple[Name, ...] = ()
    """Where the owner of the function may not set the numbers, once there is a function."""
    owner: str = ""
    """Whom the function belongs to; empty: there is none yet."""
    secured: tuple[Name, ...] = ()
    """Where row security may hide the row that is to be numbered."""
    triggers: tuple[str, ...] = ()
    """The service's triggers that an update of a number would run."""
    anonymous: tuple[Name, ...] = ()
    """Published by logical replication with nothing that names a row: PostgreSQL refuses an update there."""
    heirs: tuple[Name, ...] = ()
    """Other tables inherit from these, as was done before there were partitions; triggers are not inherited."""


async def obstacles(connection: Connection, oid: int, doing: str) -> Obstacles:
    """Look at the table of that oid; raises Transient or Permanent."""
    rows = await connection.fetch(doing, _LOOK, oid, AT_COMMIT)
    found = {
        kind: tuple(Name(row["schema"], row["name"]) for row in rows if row[kind])
        for kind in ("denied", "secured", "anonymous", "heirs")
    }
    triggers = tuple(dict.fromkeys(each for row in rows for each in row["triggers"]))
    owner = str(rows[0]["owner"] or "") if rows else ""
    return Obstacles(found["denied"], owner, found["secured"], triggers, found["anonymous"], found["heirs"])
