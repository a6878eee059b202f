"""Whether outbox.database leads to a PostgreSQL that can be worked with: the primary, reached without a pooler that
changes servers between transactions, with a clock like ours."""

from collections.abc import Callable

from agent.outbox.checkup import Remark
from agent.outbox.database import OLDEST, PINNED, Connection
from agent.runtime.errors import PillionError

APART = 2.0
"""Seconds that the clocks may be apart: an event's time is the database's, a span's is the agent's."""

DIRECT = (
    "Let outbox.database lead to PostgreSQL itself, or to a pool with pool_mode=session that passes all settings on: a "
    "relay keeps 2 to 4 connections, so that it needs no pooler."
)

_SERVER = "SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby"
_SETTINGS = "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name"
_PROCESS = "SELECT pg_backend_pid()"
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
_LOOSE = ("plan_cache_mode", "row_security", "jit", "synchronous_commit", "application_name")
"""Settings that a pooler which passes none on would lose, and whose values are written as they were given."""


def unreachable(error: PillionError) -> Remark:
    """No connection was had."""
    if "unsupported startup parameter" in str(error):
        found = f"it is a pooler that refuses the settings that reading relies on: {error}"
        return Remark("outbox.pooler", "problem", "the way to the database", found, DIRECT)
    todo = "Start it, or mend outbox.database(_file); the service need not be touched."
    return Remark("outbox.database", "problem", "the service's database", str(error), todo)


async def server(connection: Connection, doing: str) -> Remark:
    """``outbox.database``; raises Transient or Permanent."""
    (row,) = await connection.fetch(doing, _SERVER)
    subject, version = "the service's database", f"PostgreSQL {row['version'] // 10000}"
    if row["version"] < OLDEST:
        return Remark("outbox.database", "problem", subject, f"it is {version}", "14 or later is needed.")
    if row["standby"]:
        todo = "Name the primary; several hosts in the URL with target_session_attrs=primary find it by themselves."
        return Remark("outbox.database", "problem", subject, "it is a standby", todo)
    return Remark("outbox.database", "ok", subject, f"it is {version}, and a primary")


async def pooler(first: Connection, second: Connection, doing: str) -> Remark:
    """``outbox.pooler``: two connections are two processes of the server, and each stays the same while the other is
    within a transaction. A pooler that gives its servers out by transaction can't keep both."""
    subject = "the way to the database"
    try:
        one = await first.value(doing, _PROCESS)
        async with second.transaction(doing):
            other = await second.value(doing, _PROCESS)
            again = await first.value(doing, _PROCESS)
        rows = await first.fetch(doing, _SETTINGS, list(_LOOSE))
    except PillionError as error:
        # Two clients prepare a statement under one name, or one finds it gone.
        if "prepared statement" not in str(error):
            raise
        one = other = again = None
        rows = []
    if one is None or one == other or one != again:
        found = "a pooler gives another server process to each transaction; settings and locks of a session get lost"
        return Remark("outbox.pooler", "problem", subject, found, DIRECT)
    lost = [row["name"] for row in rows if row["value"] != PINNED[row["name"]]]
    if lost:
        found = f"something on the way drops settings that reading relies on: {', '.join(lost)}"
        return Remark("outbox.pooler", "problem", subject, found, DIRECT)
    return Remark("outbox.pooler", "ok", subject, "each connection is a process of the server")


async def clock(connection: Connection, doing: str, now: Callable[[], float]) -> Remark:
    """``outbox.clock``; ``now`` is the wall clock in seconds."""
    before = now()
    there = float(await connection.value(doing, _CLOCK))
    after = now()
    # What the way took is not a difference.
    apart = max(before - there, there - after, 0.0)
    subject = "the clocks of this host and the database"
    if apart > APART:
        which = "behind" if there > after else "ahead of"
        harm = "nothing is decided by it, but times of events and of spans differ"
        found = f"this host's is {apart:.1f} s {which} the database's; {harm}"
        return Remark("outbox.clock", "warning", subject, found, "Synchronise both, as by NTP.")
    return Remark("outbox.clock", "ok", subject, f"less than {APART:g} s apart")
