"""Outbox tables whose rows are numbered as their transactions commit: the trigger that does it, and its rights. Pure.

A constraint trigger can be deferred to the commit, also on a partitioned table, whose partitions get it with those that
come later; it can't be replaced, only dropped and made (PostgreSQL's documentation of CREATE TRIGGER).
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values by names.literal

import hashlib
from collections.abc import Sequence

from agent.config.sections.outbox import Outbox
from agent.outbox.feeds import Feed
from agent.outbox.names import Name, identifier, literal
from agent.outbox.shape import ADDED, AT_COMMIT
from agent.outbox.sql import VERSION
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
    there = table.triggers.get(AT_COMMIT)
    if not feed.by_commit:
        lines = undone(feed, facts, table)
        title = f"number {feed.name} as its rows are written"
        return [Step(title, "\n".join(lines), locks=feed.table)] if lines else []
    wrong = _hindered(table)
    if wrong:
        problems.append(Problem("outbox.tables", f"wants {feed.name} in order of commit, but {wrong}"))
        return []
    who = _owner(facts)
    parts = [feed.table, *(each.name for each in table.partitions)]
    statement, mark = trigger(feed, settings.schema)
    if there == mark:
        denied = table.obstacles.denied
        return [Step(f"let rows of {feed.name} be numbered", _rights(feed, denied, who))] if denied else []
    sql = "\n".join([_rights(feed, parts, who), _dropped(feed), statement])
    return [Step(f"number {feed.name} as its transactions commit", sql, locks=feed.table)]


def trigger(feed: Feed, schema: str) -> tuple[str, str]:
    """The statement that makes the trigger, and its mark: see ``changes.Trigger``."""
    statement = (
        f"CREATE CONSTRAINT TRIGGER {identifier(AT_COMMIT)} AFTER INSERT ON {feed.table.sql} DEFERRABLE INITIALLY "
        f"DEFERRED FOR EACH ROW EXECUTE FUNCTION {identifier(schema)}.number_at_commit"
    )
    mark = f"pillion {VERSION} {hashlib.sha256(statement.encode()).hexdigest()[:16]}"
    return f"{statement}({literal(mark)});", mark


def undone(feed: Feed, facts: Facts, table: TableFacts) -> list[str]:
    """SQL that takes trigger and rights out again, where they are; before the columns are dropped."""
    if AT_COMMIT not in table.triggers:
        return []
    who = _owner(facts)
    if who == OWNER and facts.owner is None:
        return [_dropped(feed)]
    name = literal(feed.table.sql)
    body = (
        f"DECLARE part regclass; BEGIN FOR part IN SELECT {name}::regclass UNION SELECT relid FROM "
        f"pg_partition_tree({name}::regclass) LOOP "
        f"EXECUTE format('REVOKE SELECT ({_READ}), UPDATE ({ADDED}) ON %s FROM %I', part, {literal(who)}); "
        "END LOOP; END"
    )
    lines = [_dropped(feed), f"DO {literal(body)};"]
    if who == OWNER:
        lines.append(f"REVOKE USAGE ON SCHEMA {identifier(feed.table.schema)} FROM {OWNER};")
    return lines


def _owner(facts: Facts) -> str:
    """Whom the function belongs to, or will."""
    return OWNER if facts.installer.superuser else facts.functions.owner or facts.installer.name


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
