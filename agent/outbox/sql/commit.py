"""Outbox tables whose rows are numbered as their transactions commit: the trigger that does it, and its rights. Pure.

A constraint trigger can be deferred to the commit, also on a partitioned table, whose partitions get it with those that
come later; it can't be replaced, only dropped and made (PostgreSQL's documentation of CREATE TRIGGER).
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values by names.literal

import hashlib
from collections.abc import Sequence
from importlib import resources

from agent.config.sections.outbox import Outbox
from agent.outbox.feeds import Feed
from agent.outbox.names import Name, identifier, literal
from agent.outbox.shape import ADDED, AT_COMMIT
from agent.outbox.sql import DEFINER, NUMBERS, VERSION
from agent.outbox.sql.facts import Facts, TableFacts
from agent.outbox.sql.roles import OWNER
from agent.outbox.sql.steps import Step
from agent.runtime.errors import Problem

_READ = f"ctid, tableoid, xid, {ADDED}"
"""Columns that are looked at to find the row that is to be numbered."""


def commit_steps(
    feed: Feed, settings: Outbox, facts: Facts, table: TableFacts, problems: list[Problem]
) -> list[Step]:
    """What is missing so that the rows are numbered at the commit, or too much where that is not asked for; what is
    wrong goes to ``problems``."""
    if not feed.by_commit:
        lines = undone(feed, settings.schema, facts, table)
        title = f"number {feed.name} as its rows are written"
        return [Step(title, "\n".join(lines), locks=feed.table)] if lines else []
    wrong = _hindered(table)
    if wrong:
        problems.append(Problem("outbox.tables", f"wants {feed.name} in order of commit, but {wrong}"))
        return []
    who = _owner(facts, table)
    parts = [feed.table, *(each.name for each in table.partitions)]
    unsound = _name(feed) in (*facts.functions.loose, *facts.functions.altered)
    if table.triggers.get(AT_COMMIT) == trigger(feed, settings.schema)[1] and not unsound:
        denied = table.obstacles.denied
        return [Step(f"let rows of {feed.name} be numbered", _rights(feed, denied, who))] if denied else []
    sql = "\n".join([
        _function(feed, settings.schema), *_given(feed, settings.schema, facts), _rights(feed, parts, who),
        _dropped(feed), trigger(feed, settings.schema)[0],
    ])  # fmt: skip
    return [Step(f"number {feed.name} as its transactions commit", sql, locks=feed.table)]


def trigger(feed: Feed, schema: str) -> tuple[str, str]:
    """The statement that makes the trigger, and its mark: see ``changes.Trigger``."""
    statement = (
        f"CREATE CONSTRAINT TRIGGER {identifier(AT_COMMIT)} AFTER INSERT ON {feed.table.sql} DEFERRABLE INITIALLY "
        f"DEFERRED FOR EACH ROW EXECUTE FUNCTION {_sql(feed, schema)}"
    )
    made = f"{statement}{_function(feed, schema)}"
    mark = f"pillion {VERSION} {hashlib.sha256(made.encode()).hexdigest()[:16]}"
    return f"{statement}({literal(mark)});", mark


def undone(feed: Feed, schema: str, facts: Facts, table: TableFacts) -> list[str]:
    """SQL that takes trigger and rights out again, where they are; before the columns are dropped."""
    if AT_COMMIT not in table.triggers:
        return []
    lines = [_dropped(feed), f"DROP FUNCTION IF EXISTS {_sql(feed, schema)}();"]
    who = _owner(facts, table)
    if who == OWNER and facts.owner is None:
        return lines
    name = literal(feed.table.sql)
    body = (
        f"DECLARE part regclass; BEGIN FOR part IN SELECT {name}::regclass UNION SELECT relid FROM "
        f"pg_partition_tree({name}::regclass) LOOP "
        f"EXECUTE format('REVOKE SELECT ({_READ}), UPDATE ({ADDED}) ON %s FROM %I', part, {literal(who)}); "
        "END LOOP; END"
    )
    lines.append(f"DO {literal(body)};")
    if who == OWNER:
        lines.append(f"REVOKE USAGE ON SCHEMA {identifier(feed.table.schema)} FROM {OWNER};")
    return lines


def _name(feed: Feed) -> str:
    return NUMBERS + hashlib.sha256(feed.table.sql.encode()).hexdigest()[:24]


def _sql(feed: Feed, schema: str) -> str:
    return f"{identifier(schema)}.{identifier(_name(feed))}"


def _function(feed: Feed, schema: str) -> str:
    """One for each table: what is said in full is planned once a session."""
    text = resources.files(__package__).joinpath("commit.sql").read_text(encoding="utf-8")
    body = text.format(table=feed.table.sql, name=literal(feed.table.sql))
    return (
        f"CREATE OR REPLACE FUNCTION {_sql(feed, schema)}() RETURNS trigger LANGUAGE plpgsql {DEFINER} AS "
        f"{literal(body)};\nREVOKE ALL ON FUNCTION {_sql(feed, schema)}() FROM PUBLIC;"
    )


def _given(feed: Feed, schema: str, facts: Facts) -> list[str]:
    return [f"ALTER FUNCTION {_sql(feed, schema)}() OWNER TO {OWNER};"] if facts.installer.superuser else []


def _owner(facts: Facts, table: TableFacts) -> str:
    """Whom the function belongs to, or will."""
    return OWNER if facts.installer.superuser else table.obstacles.owner or facts.installer.name


def _dropped(feed: Feed) -> str:
    return f"DROP TRIGGER IF EXISTS {identifier(AT_COMMIT)} ON {feed.table.sql};"


def _hindered(table: TableFacts) -> str:
    found = table.obstacles
    if found.triggers:
        return (
            f"its trigger {found.triggers[0]} runs at every UPDATE, and so would at each commit: make it one of the "
            "columns that it is about (UPDATE OF …)"
        )
    if found.secured:
        return f"{found.secured[0]} has row security, which may hide the row that is to be numbered"
    if found.heirs:
        return f"rows of tables that inherit from {found.heirs[0]} would keep the order of their statements"
    if found.anonymous:
        return (
            f"{found.anonymous[0]} is published by logical replication and has neither a primary key nor a replica "
            "identity, so that PostgreSQL refuses an UPDATE: give it one"
        )
    return ""


def _rights(feed: Feed, parts: Sequence[Name], who: str) -> str:
    """Let the function's owner set numbers, and nothing else."""
    to = identifier(who)
    body = (
        f"BEGIN IF NOT has_schema_privilege({literal(who)}, {literal(feed.table.schema)}, 'USAGE') THEN "
        f"GRANT USAGE ON SCHEMA {identifier(feed.table.schema)} TO {to}; END IF; "
        f"EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', "
        f"pg_get_serial_sequence({literal(feed.table.sql)}, {literal(ADDED)}), {literal(who)}); END"
    )
    grants = [f"GRANT SELECT ({_READ}), UPDATE ({ADDED}) ON {each.sql} TO {to};" for each in parts]
    return "\n".join([f"DO {literal(body)};", *grants])
