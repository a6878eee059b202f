"""Whether the relay's role may do what it must, and nothing that it need not."""

from agent.config.sections.outbox import Outbox
from agent.outbox.checkup import INIT, Remark
from agent.outbox.database import Connection
from agent.outbox.sql.needs import needs, schemas

_SCHEMAS = """
SELECT w.name, n.oid IS NOT NULL AS there, coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS may
FROM unnest($1::text[]) AS w (name) LEFT JOIN pg_namespace n ON n.nspname = w.name"""

_TABLES = """
SELECT w.schema, w.name, w.need, c.oid IS NOT NULL AS there, coalesce(has_table_privilege(c.oid, w.need), false) AS may
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w (schema, name, need, place) LEFT JOIN (
  pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = w.schema AND c.relname = w.name
ORDER BY w.place"""

_ROLE = "SELECT rolname::text AS name, rolsuper AS superuser FROM pg_roles WHERE rolname = current_user"


async def rights(connection: Connection, settings: Outbox, doing: str) -> list[Remark]:
    """``outbox.rights``; raises Transient or Permanent."""
    (role,) = await connection.fetch(doing, _ROLE)
    subject = f"the rights of the role {role['name']}"
    wanted = [
        (table.schema, table.table, right)
        for need in needs(settings)
        for table in need.tables
        for right in need.rights.split(", ")
    ]
    found = await connection.fetch(doing, _TABLES, *map(list, zip(*wanted, strict=True)))
    places = await connection.fetch(doing, _SCHEMAS, list(schemas(settings)))
    absent = [f"{row['schema']}.{row['name']}" for row in found if not row["there"]]
    if absent:
        missing = ", ".join(dict.fromkeys(absent))
        return [Remark("outbox.rights", "problem", subject, f"there is no {missing}", INIT)]
    lacking = [f"USAGE on the schema {row['name']}" for row in places if not row["may"]]
    lacking += [f"{row['need']} on {row['schema']}.{row['name']}" for row in found if not row["may"]]
    if lacking:
        todo = (
            f"Run what `pillion outbox sql --role {role['name']}` prints, as who ran `pillion outbox init`."
        )
        return [Remark("outbox.rights", "problem", subject, f"it lacks {', '.join(lacking)}", todo)]
    if role["superuser"]:
        todo = (
            "Make a role that only relays: `pillion outbox init --role NAME`, and name it in outbox.database."
        )
        return [Remark("outbox.rights", "warning", subject, "it is a superuser and may do anything", todo)]
    return [Remark("outbox.rights", "ok", subject, "it has what a relay needs")]
