"""A step of SQL, and the statements that several steps share. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.config.sections.outbox import Outbox
from agent.outbox.cursor import BUCKETS
from agent.outbox.feeds import Feed
from agent.outbox.identity import TIMELINE
from agent.outbox.names import LONGEST, Name, identifier, literal

Existing = Literal["publish", "ignore"]
"""What becomes of the rows that are in an outbox table already."""

NOTHING_SEEN = "'3:3:'::pg_snapshot"
"""A snapshot that sees no transaction: reading from here publishes every row that there is."""


@dataclass(frozen=True)
class Step:
    """One thing to do."""

    title: str
    sql: str
    locks: Name | None = None
    """The table whose lock it needs: it runs in a transaction of its own with a short ``lock_timeout``,
    again and again."""
    alone: bool = False
    """It can't run in a transaction and may take long, but locks nobody out."""


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


def record(feed: Feed, settings: Outbox, said: str, base: str) -> str:
    """Note the feed: where reading it starts, and what was said of the rows that were there already."""
    table = f"{identifier(settings.schema)}.feed"
    return (
        f"INSERT INTO {table} (feed, system_id, timeline, relation, existing, base)\n"
        f"SELECT {literal(feed.name)}, system_identifier::text, {TIMELINE}, {literal(table)}::regclass::oid, "
        f"{literal(said)}, {base}\nFROM pg_control_system() ON CONFLICT DO NOTHING;"
    )


def opening(feed: Feed, settings: Outbox) -> str:
    """Make the feed's buckets: from now on a relay reads it."""
    schema = identifier(settings.schema)
    return (
        f"INSERT INTO {schema}.bucket (feed, bucket, base)\nSELECT feed, n, base FROM {schema}.feed, "
        f"generate_series(0, {BUCKETS - 1}) AS n WHERE feed = {literal(feed.name)} ON CONFLICT DO NOTHING;"
    )


def made(table: str, suffix: str) -> str:
    """The name of something made for a table, within PostgreSQL's length."""
    whole = f"pillion_{table}_{suffix}"
    if len(whole.encode()) <= LONGEST:
        return whole
    return f"pillion_{hashlib.sha256(table.encode()).hexdigest()[:24]}_{suffix}"
