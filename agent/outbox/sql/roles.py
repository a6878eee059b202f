"""Which roles matter to the trigger functions, and what they may do. Read-only."""

from dataclasses import dataclass

from agent.outbox.database import Connection

OWNER = "pillion_owner"
"""Owns the trigger functions where a superuser installs them; one for all databases of a cluster."""

_ROLE = """
SELECT r.rolname::text AS name, r.rolsuper AS superuser,
  array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcanlogin THEN 'LOGIN' END,
    CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END
  ], NULL) AS attributes,
  ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
        WHERE m.member = r.oid ORDER BY 1) AS groups,
  ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.member
        WHERE m.roleid = r.oid ORDER BY 1) AS members,
  ARRAY(SELECT g.rolname::text FROM pg_roles g WHERE g.oid <> r.oid AND pg_has_role(r.oid, g.oid, 'MEMBER')
        AND (g.rolsuper OR g.rolname IN ('pg_execute_server_program', 'pg_read_server_files',
             'pg_write_server_files', 'pg_read_all_data', 'pg_write_all_data', 'rds_superuser')) ORDER BY 1) AS powerful
FROM pg_roles r WHERE r.rolname = $1"""

_FUNCTIONS = """
SELECT p.proname::text AS name, r.rolsuper AS loose,
  p.prorettype = 'trigger'::regtype
    AND NOT (p.prosecdef AND p.proconfig IS NOT DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']) AS altered,
  r.rolname = $2 AND NOT (
    has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND has_table_privilege(r.oid, format('%I.outbox', n.nspname), 'INSERT')
    AND has_table_privilege(r.oid, format('%I.outbox_failed', n.nspname), 'INSERT')
    AND has_sequence_privilege(r.oid, format('%I.outbox_id', n.nspname), 'USAGE')) AS poor
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE n.nspname = $1 ORDER BY 1"""


@dataclass(frozen=True)
class Role:
    """A role and what makes it dangerous to run others' code with its rights."""

    name: str
    superuser: bool
    attributes: tuple[str, ...] = ()
    """As in CREATE ROLE: LOGIN, CREATEROLE and the like."""
    groups: tuple[str, ...] = ()
    """Roles that it is a member of, directly."""
    members: tuple[str, ...] = ()
    powerful: tuple[str, ...] = ()
    """Those of PostgreSQL's own powerful roles, and superusers, whose member it is in any way."""


@dataclass(frozen=True)
class Functions:
    """How Pillion's functions stand, by name."""

    loose: tuple[str, ...] = ()
    """They run with a superuser's rights."""
    altered: tuple[str, ...] = ()
    """They do not run as they were made to."""
    poor: tuple[str, ...] = ()
    """Their owner lacks a right that they need, as after a restore without privileges."""


async def role(connection: Connection, doing: str, name: str) -> Role | None:
    """The role of that name; raises Transient or Permanent."""
    rows = await connection.fetch(doing, _ROLE, name)
    if not rows:
        return None
    row = rows[0]
    lists = (tuple(row[each]) for each in ("attributes", "groups", "members", "powerful"))
    return Role(row["name"], row["superuser"], *lists)


async def functions(connection: Connection, doing: str, schema: str) -> Functions:
    """Pillion's functions in its schema; raises Transient or Permanent."""
    rows = await connection.fetch(doing, _FUNCTIONS, schema, OWNER)
    kinds = ("loose", "altered", "poor")
    return Functions(*(tuple(row["name"] for row in rows if row[kind]) for kind in kinds))
