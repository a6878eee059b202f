"""What ``pillion outbox init`` has to do, as steps of SQL; pure. ``pillion outbox sql`` prints the same steps."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.config.sections.outbox import Changes, Outbox
from agent.outbox.cursor import BUCKETS
from agent.outbox.feeds import Feed, feeds
from agent.outbox.names import LONGEST, Name, identifier, literal
from agent.outbox.shape import ADDED, order
from agent.outbox.sql import VERSION, rendered
from agent.outbox.sql.facts import Facts, TableFacts
from agent.runtime.errors import Misconfigured, Problem

Existing = Literal["publish", "ignore"]
NOTHING_SEEN = "3:3:"
"""A snapshot that sees no transaction: reading from here publishes every row that there is."""

FIRST = 2**40
"""Where the added sequence starts: rows from before have the numbers below it, and so come first."""

TRIGGERS = ("!pillion_statement", "!pillion_row", "!pillion_truncate")
"""They sort before the service's own: a trigger of the service that writes the row again must come after ours."""

BATCH = 5000

_FUNCTIONS = (
    "emit(jsonb, text, jsonb, jsonb)",
    "key_of(jsonb, text[])",
    "chosen(jsonb, jsonb)",
    "masked(jsonb, jsonb)",
)
_TRIGGER_FUNCTIONS = "capture()", "capture_or_record()", "truncated()", "trace()"


@dataclass(frozen=True)
class Step:
    """One thing to do."""

    title: str
    sql: str
    locks: Name | None = None
    """The table whose lock it needs: it runs in a transaction of its own with a short ``lock_timeout``, again and again."""
    alone: bool = False
    """It can't run in a transaction and may take long, but locks nobody out."""


def names(settings: Outbox) -> tuple[Name, ...]:
    """The tables of the service that matter."""
    changed = [Name.parse(change.table) for change in settings.changes]
    return tuple(dict.fromkeys([*(feed.table for feed in feeds(settings) if not feed.own), *changed]))


def plan(settings: Outbox, facts: Facts, existing: Existing | None) -> list[Step]:
    """The steps that are missing, in order; raises Misconfigured with every problem."""
    problems: list[Problem] = []
    steps = _schema(settings, facts, problems)
    for feed in feeds(settings):
        steps += (
            _own(feed, settings, facts) if feed.own else _table(feed, settings, facts, existing, problems)
        )
    for number, change in enumerate(settings.changes):
        steps += _changes(f"outbox.changes[{number}]", change, settings, facts, problems)
    if problems:
        raise Misconfigured(problems)
    return steps


def grants(settings: Outbox, role: str) -> str:
    """The rights of a role that only relays."""
    schema, to = identifier(settings.schema), identifier(role)
    lines = [
        f"GRANT USAGE ON SCHEMA {schema} TO {to};",
        f"GRANT SELECT, UPDATE ON {schema}.feed, {schema}.bucket TO {to};",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.relay TO {to};",
        f"GRANT SELECT, DELETE ON {schema}.outbox TO {to};",
        f"GRANT SELECT ON {schema}.version, {schema}.outbox_failed TO {to};",
    ]
    for feed in feeds(settings):
        if not feed.own:
            lines.append(f"GRANT USAGE ON SCHEMA {identifier(feed.table.schema)} TO {to};")
            lines.append(f"GRANT SELECT ON {feed.table.sql} TO {to};")
    return "\n".join(lines)


def removal(settings: Outbox, facts: Facts) -> list[Step]:
    """Undo everything, the saved position included."""
    steps = []
    for change in settings.changes:
        name = Name.parse(change.table)
        if name in facts.tables:
            drops = [f"DROP TRIGGER IF EXISTS {identifier(each)} ON {name.sql};" for each in TRIGGERS]
            steps.append(Step(f"remove the triggers of {name}", "\n".join(drops), locks=name))
    for feed in feeds(settings):
        if not feed.own and feed.table in facts.tables:
            sql = f"ALTER TABLE {feed.table.sql} DROP COLUMN IF EXISTS xid, DROP COLUMN IF EXISTS {ADDED};"
            steps.append(Step(f"remove the columns added to {feed.name}", sql, locks=feed.table))
    return [
        *steps,
        Step("remove Pillion's schema", f"DROP SCHEMA IF EXISTS {identifier(settings.schema)} CASCADE;"),
    ]


def script(steps: Iterable[Step], lock_timeout: str = "80ms") -> str:
    """The steps as a file for psql."""
    parts = []
    for step in steps:
        sql = step.sql
        if step.locks is not None:
            sql = f"BEGIN;\nSET LOCAL lock_timeout = {literal(lock_timeout)};\n{sql}\nCOMMIT;"
        elif not step.alone:
            sql = f"BEGIN;\n{sql}\nCOMMIT;"
        note = " (again, if the lock was not had in time)" if step.locks else ""
        parts.append(f"-- {step.title}{note}\n{sql}\n")
    return "\n".join(parts)


def _schema(settings: Outbox, facts: Facts, problems: list[Problem]) -> list[Step]:
    if facts.schema not in ("absent", "ours"):
        problems.append(Problem("outbox.schema", f"can't be used: {facts.schema}"))
        return []
    if facts.version > VERSION:
        wrong = f"holds version {facts.version}, made by a later Pillion than this one, which knows {VERSION}"
        problems.append(Problem("outbox.schema", wrong))
    if facts.version >= VERSION:
        return []
    schema = identifier(settings.schema)
    revokes = [
        f"REVOKE ALL ON FUNCTION {schema}.{each} FROM PUBLIC;" for each in (*_FUNCTIONS, *_TRIGGER_FUNCTIONS)
    ]
    sql = "\n".join(
        [
            rendered("schema.sql", settings.schema),
            rendered("capture.sql", settings.schema),
            *revokes,
            f"INSERT INTO {schema}.version (version) VALUES ({VERSION});",
        ]
    )
    return [Step(f"make the schema {settings.schema} with its tables and functions", sql)]


def _own(feed: Feed, settings: Outbox, facts: Facts) -> list[Step]:
    if feed.name in facts.feeds and facts.feeds[feed.name].open:
        return []
    sql = (
        _record(feed, settings, "none", literal(NOTHING_SEEN) + "::pg_snapshot")
        + "\n"
        + _open(feed, settings)
    )
    return [Step(f"start reading {feed.name}", sql)]


def _table(
    feed: Feed, settings: Outbox, facts: Facts, existing: Existing | None, problems: list[Problem]
) -> list[Step]:
    table = facts.tables.get(feed.table)
    wrong = _unusable(feed, table)
    if wrong or table is None:
        problems.append(Problem("outbox.tables", f"names {feed.name}, which {wrong}"))
        return []
    known = facts.feeds.get(feed.name)
    if known is None and table.has_rows and existing is None:
        wrong = f"names {feed.name}, which has rows: say what becomes of them"
        problems.append(Problem("outbox.tables", wrong, "--existing publish or --existing ignore"))
        return []
    said = known.existing if known is not None else existing if table.has_rows and existing else "none"
    steps = []
    number = order(feed, table.columns)
    if "xid" not in table.columns or number not in table.columns:
        steps.append(_alter(feed, settings, table, number, said, fresh=known is None))
    elif known is None:
        base = "pg_current_snapshot()" if said == "ignore" else literal(NOTHING_SEEN) + "::pg_snapshot"
        steps.append(Step(f"note where reading {feed.name} starts", _record(feed, settings, said, base)))
    opened = known is not None and known.open
    if number == ADDED and said == "publish" and not opened:
        steps.append(Step(f"number the rows of {feed.name}", _numbering(feed), alone=True))
    steps += _indexes(feed, table, number)
    if not opened:
        steps.append(Step(f"start reading {feed.name}", _open(feed, settings)))
    return steps


def _unusable(feed: Feed, table: TableFacts | None) -> str:
    if table is None:
        return "does not exist, or this role may not see it"
    if table.kind != "r":
        return "is not an ordinary table (partitioned outbox tables can't be read yet)"
    missing = sorted(feed.columns[each] for each in feed.required if feed.columns[each] not in table.columns)
    if missing:
        return f"has no column {', '.join(missing)}: name the right ones in its columns"
    if "xid" in table.columns and table.columns["xid"].type != "xid8":
        return f"has a column xid of the type {table.columns['xid'].type}, where Pillion needs one of the type xid8"
    numbering = table.sequences.get(order(feed, table.columns))
    if numbering is not None and (numbering.cache != 1 or numbering.step < 1 or numbering.cycle):
        return f"is not numbered in order: run ALTER SEQUENCE {numbering.name} CACHE 1 INCREMENT BY 1 NO CYCLE first"
    return ""


def _alter(feed: Feed, settings: Outbox, table: TableFacts, number: str, said: str, *, fresh: bool) -> Step:
    name = feed.table.sql
    lines = [f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE;"]
    if fresh and said == "none":
        reason = literal(f"{feed.name} has rows by now: say --existing publish or --existing ignore")
        check = f"IF EXISTS (SELECT FROM {name}) THEN RAISE EXCEPTION USING MESSAGE = {reason}; END IF;"
        lines.append(f"DO {literal(f'BEGIN {check} END')};")
    if "xid" not in table.columns:
        lines.append(
            f"ALTER TABLE {name} ADD COLUMN xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id();"
        )
    if number not in table.columns:
        lines += _number_column(feed, table)
    if fresh:
        base = _ALTERED if said == "ignore" and "xid" not in table.columns else ""
        base = base or (
            "pg_current_snapshot()" if said == "ignore" else f"{literal(NOTHING_SEEN)}::pg_snapshot"
        )
        lines.append(_record(feed, settings, said, base))
    return Step(f"add what reading needs to {feed.name}", "\n".join(lines), locks=feed.table)


def _number_column(feed: Feed, table: TableFacts) -> list[str]:
    name = feed.table.sql
    sequence = f"{identifier(feed.table.schema)}.{identifier(made(feed.table.table, 'seq'))}"
    # Who inserts into the table takes a number from its sequence, and needs the right to.
    grant = (
        "DECLARE who text; BEGIN FOR who IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' "
        "ELSE quote_ident(pg_get_userbyid(a.grantee)) END FROM ("
        f"SELECT (aclexplode(relacl)).* FROM pg_class WHERE oid = {literal(name)}::regclass UNION ALL "
        f"SELECT (aclexplode(attacl)).* FROM pg_attribute WHERE attrelid = {literal(name)}::regclass"
        ") a WHERE a.privilege_type = 'INSERT' LOOP "
        f"EXECUTE {literal(f'GRANT USAGE ON SEQUENCE {sequence} TO ')} || who; END LOOP; END"
    )
    return [
        f"CREATE SEQUENCE {sequence} AS bigint START {FIRST} CACHE 1;",
        f"ALTER TABLE {name} ADD COLUMN {ADDED} bigint;",
        f"ALTER TABLE {name} ALTER COLUMN {ADDED} SET DEFAULT nextval({literal(sequence)});",
        f"ALTER SEQUENCE {sequence} OWNER TO {identifier(table.owner)};",
        f"ALTER SEQUENCE {sequence} OWNED BY {name}.{ADDED};",
        f"DO {literal(grant)};",
    ]


# All rows that are there have this transaction's id now; everyone else who may still write has another. So this sees this
# transaction and what ended before it, and nothing that is still open.
_ALTERED = """(
    WITH now AS (SELECT pg_current_snapshot() AS s, pg_current_xact_id()::text::bigint AS x),
    open AS (
        SELECT i::text::bigint AS i FROM now, pg_snapshot_xip(s) AS i WHERE i::text::bigint <> x
        UNION SELECT g FROM now, generate_series(pg_snapshot_xmax(s)::text::bigint, x - 1) AS g
    )
    SELECT format('%s:%s:%s', coalesce((SELECT min(i) FROM open), top), top,
                  (SELECT string_agg(i::text, ',' ORDER BY i) FROM open))::pg_snapshot
    FROM (SELECT greatest(pg_snapshot_xmax(s)::text::bigint, x + 1) AS top FROM now) AS t
)"""


def _numbering(feed: Feed) -> str:
    name = feed.table.sql
    body = f"""
#variable_conflict use_variable
DECLARE
    pillion_at tid := '(0,0)';
    pillion_next bigint := (SELECT coalesce(max({ADDED}), 0) FROM {name} WHERE {ADDED} < {FIRST});
    pillion_done bigint;
    pillion_reached tid;
BEGIN
    LOOP
        WITH todo AS (
            SELECT ctid AS place, row_number() OVER (ORDER BY ctid) AS n
            FROM (SELECT ctid FROM {name} WHERE ctid > pillion_at AND {ADDED} IS NULL ORDER BY ctid LIMIT {BATCH}) AS t
        ), numbered AS (
            UPDATE {name} AS o SET {ADDED} = pillion_next + todo.n FROM todo WHERE o.ctid = todo.place RETURNING todo.place AS place
        )
        SELECT count(*), max(place) INTO pillion_done, pillion_reached FROM todo;
        EXIT WHEN pillion_done = 0;
        pillion_next := pillion_next + pillion_done;
        pillion_at := pillion_reached;
        COMMIT;
    END LOOP;
    IF EXISTS (SELECT FROM {name} WHERE {ADDED} IS NULL) THEN
        RAISE EXCEPTION 'some rows were changed while they were numbered: run this again';
    END IF;
END"""
    return f"DO {literal(body)};"


def _indexes(feed: Feed, table: TableFacts, number: str) -> list[Step]:
    steps = []
    for columns, suffix in ((("xid", number), "xid"), ((number,), "id")):
        if any(
            each.valid and each.plain and each.columns[: len(columns)] == columns for each in table.indexes
        ):
            continue
        name = made(feed.table.table, suffix)
        if any(each.name == name for each in table.indexes):
            left = f"DROP INDEX CONCURRENTLY {identifier(feed.table.schema)}.{identifier(name)};"
            steps.append(Step(f"drop what a failed build left of the index {name}", left, alone=True))
        listed = ", ".join(map(identifier, columns))
        sql = f"CREATE INDEX CONCURRENTLY {identifier(name)} ON {feed.table.sql} ({listed});"
        steps.append(Step(f"index {feed.name} by {' and '.join(columns)}", sql, alone=True))
    return steps


def made(table: str, suffix: str) -> str:
    """The name of something made for a table, within PostgreSQL's length."""
    whole = f"pillion_{table}_{suffix}"
    if len(whole.encode()) <= LONGEST:
        return whole
    return f"pillion_{hashlib.sha256(table.encode()).hexdigest()[:24]}_{suffix}"


def _record(feed: Feed, settings: Outbox, said: str, base: str) -> str:
    return (
        f"INSERT INTO {identifier(settings.schema)}.feed (feed, system_id, existing, base)\n"
        f"SELECT {literal(feed.name)}, system_identifier::text, {literal(said)}, {base}\n"
        "FROM pg_control_system() ON CONFLICT DO NOTHING;"
    )


def _open(feed: Feed, settings: Outbox) -> str:
    schema = identifier(settings.schema)
    return (
        f"INSERT INTO {schema}.bucket (feed, bucket, base)\nSELECT feed, n, base FROM {schema}.feed, "
        f"generate_series(0, {BUCKETS - 1}) AS n WHERE feed = {literal(feed.name)} ON CONFLICT DO NOTHING;"
    )


def _changes(
    key: str, change: Changes, settings: Outbox, facts: Facts, problems: list[Problem]
) -> list[Step]:
    name = Name.parse(change.table)
    table = facts.tables.get(name)
    found = _wrong_changes(key, change, table)
    problems += found
    if found or table is None:
        return []
    about = argument(change, name, table.primary_key)
    wanted = triggers(change, name, about, settings.schema)
    digest = {
        each: f"pillion {VERSION} {hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        for each, sql in wanted.items()
    }
    if dict(table.triggers) == digest:
        return []
    lines = [f"LOCK TABLE {name.sql} IN SHARE ROW EXCLUSIVE MODE;"]
    lines += [f"DROP TRIGGER {identifier(each)} ON {name.sql};" for each in table.triggers]
    for each, sql in wanted.items():
        lines += [sql, f"COMMENT ON TRIGGER {identifier(each)} ON {name.sql} IS {literal(digest[each])};"]
    return [Step(f"make changes of {name} events", "\n".join(lines), locks=name)]


def _wrong_changes(key: str, change: Changes, table: TableFacts | None) -> list[Problem]:
    if table is None:
        return [
            Problem(
                f"{key}.table", f"names {change.table}, which does not exist, or this role may not see it"
            )
        ]
    if table.kind not in ("r", "p"):
        return [
            Problem(f"{key}.table", f"names {change.table}, which is no table", "a table, partitioned or not")
        ]
    if table.partition:
        return [
            Problem(
                f"{key}.table", f"names {change.table}, which is a partition", "the partitioned table itself"
            )
        ]
    problems = []
    if not change.key and not table.primary_key:
        problems.append(Problem(f"{key}.key", f"is empty, and {change.table} has no primary key", "columns"))
    for group in ("key", "include", "exclude", "mask"):
        unknown = [column for column in getattr(change, group) if column not in table.columns]
        if unknown:
            problems.append(
                Problem(f"{key}.{group}", f"has {', '.join(unknown)}, which {change.table} has not")
            )
    return problems


def argument(change: Changes, name: Name, primary_key: Sequence[str]) -> str:
    """What the triggers are told, as JSON. It names columns, which a trigger's definition must not."""
    words = {"insert": "created", "update": "updated", "delete": "deleted", "truncate": "truncated"}
    types = {
        operation: change.types.get(operation, f"{name.table}.{word}") for operation, word in words.items()
    }
    about: dict[str, object] = {"origin": str(name), "key": list(change.key or primary_key), "types": types}
    for group in ("include", "exclude", "mask"):
        if getattr(change, group):
            about[group] = list(getattr(change, group))
    return json.dumps(about, ensure_ascii=False, sort_keys=True)


def triggers(change: Changes, name: Name, about: str, schema: str) -> dict[str, str]:
    """The triggers of a table by name."""
    quoted, told = identifier(schema), literal(about)
    statement, row, truncate = (identifier(each) for each in TRIGGERS)
    events = " OR ".join(each.upper() for each in ("insert", "update", "delete") if each in change.operations)
    function = "capture_or_record" if change.on_error == "record" else "capture"
    made_ = {
        TRIGGERS[
            0
        ]: f"CREATE TRIGGER {statement} BEFORE {events}{' OR TRUNCATE' if 'delete' in change.operations else ''} "
        f"ON {name.sql} FOR EACH STATEMENT EXECUTE FUNCTION {quoted}.trace();",
        TRIGGERS[1]: f"CREATE TRIGGER {row} AFTER {events} ON {name.sql} "
        f"FOR EACH ROW EXECUTE FUNCTION {quoted}.{function}({told});",
    }
    if "delete" in change.operations:
        made_[TRIGGERS[2]] = (
            f"CREATE TRIGGER {truncate} AFTER TRUNCATE ON {name.sql} FOR EACH STATEMENT EXECUTE FUNCTION {quoted}.truncated({told});"
        )
    return made_
