"""Running a plan on a live database: short locks, patience, and a word about who is in the way."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from agent.config.sections.outbox import Outbox
from agent.outbox.database import Connection, Database, LockedError
from agent.outbox.names import Name
from agent.outbox.sql.facts import Facts, gather
from agent.outbox.sql.owner import owner_steps, warnings
from agent.outbox.sql.plan import grants, names, outboxes, plan
from agent.outbox.sql.steps import Existing, Step
from agent.runtime.backoff import Backoff
from agent.runtime.errors import Misconfigured, Problem, Transient

Say = Callable[[str], None]

SESSION = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "0",
    "synchronous_commit": "on",
}
"""An index on a large table takes as long as it takes; locks are bounded where they are taken."""

_BLOCKERS = """
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) AS who, a.usename AS role,
       extract(epoch FROM clock_timestamp() - a.xact_start)::int AS age
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.relation IN (SELECT to_regclass(t)::oid FROM unnest($1::text[]) AS t) AND l.granted
  AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
ORDER BY age DESC LIMIT 5"""

OLD = 1
"""Seconds after which a transaction on the table is waited for before its lock is tried for at all."""


class Installer:
    """Brings a database to what the settings ask for. Everything may be run again, also after it was
    interrupted."""

    def __init__(self, database: Database, settings: Outbox, say: Say, patience: float = 120.0) -> None:
        """``say`` is told each step; ``patience`` is how many seconds one table's lock is tried for."""
        self._database = database
        self._settings = settings
        self._say = say
        self._patience = patience

    async def steps(self, existing: Existing | None) -> list[Step]:
        """What is missing now; raises Transient, Permanent or Misconfigured."""
        async with self._database.connection() as connection:
            facts = await self._facts(connection)
        return plan(self._settings, facts, existing)

    async def install(self, existing: Existing | None, role: str = "") -> int:
        """Do what is missing and say it; how many steps that were. ``role`` is granted what a relay needs."""
        async with self._database.connection() as connection:
            facts = await self._facts(connection)
            steps = plan(self._settings, facts, existing)
            for warning in warnings(facts):
                self._say(f"warning: {warning}")
            await self.run(connection, steps)
            if role:
                await connection.execute(f"granting to {role}", grants(self._settings, role))
        return len(steps)

    async def _facts(self, connection: Connection) -> Facts:
        settings = self._settings
        return await gather(connection, settings.schema, names(settings), outboxes(settings))

    async def run(self, connection: Connection, steps: Sequence[Step]) -> None:
        """Run the steps in order."""
        for step in steps:
            self._say(step.title)
            if step.locks is not None:
                await self._locked(connection, step, step.locks)
            elif step.alone:
                await connection.execute(step.title, step.sql)
            else:
                async with connection.transaction(step.title):
                    await connection.execute(step.title, step.sql)

    async def _locked(self, connection: Connection, step: Step, table: Name) -> None:
        async def once() -> None:
            async with connection.transaction(step.title):
                await briefly(connection, step.title)
                await connection.execute(step.title, step.sql)

        await locked(connection, step.title, (table,), once, say=self._say, patience=self._patience)

    async def secure(self) -> None:
        """Only keep the trigger functions from running with too many rights; raises as ``install`` does."""
        problems: list[Problem] = []
        async with self._database.connection() as connection:
            facts = await gather(connection, self._settings.schema, ())
            steps = owner_steps(self._settings.schema, facts, problems, fresh=False) if facts.version else []
            if problems:
                raise Misconfigured(problems)
            await self.run(connection, steps)


async def briefly(connection: Connection, doing: str) -> None:
    """Let the transaction wait for locks for a moment only."""
    timeout = random.randint(50, 100)  # noqa: S311 - jitter
    await connection.execute(doing, f"SET LOCAL lock_timeout = '{timeout}ms'")


async def locked(
    connection: Connection,
    title: str,
    tables: Sequence[Name],
    once: Callable[[], Awaitable[None]],
    *,
    say: Say,
    patience: float,
) -> None:
    """Run ``once``, a transaction that locks the tables ``briefly``, until it had them; raises Transient with who is
    in the way after ``patience`` seconds."""
    # Behind a lock that waits, every statement of the service waits too: so it waits a moment only, then steps back.
    backoff = Backoff(0.1, 2.0)
    ends = asyncio.get_running_loop().time() + patience
    named = ", ".join(map(str, tables))
    while True:
        waiting = await _blockers(connection, tables)
        if not any(age > OLD for _, age in waiting):
            try:
                await once()
            except LockedError:
                waiting = await _blockers(connection, tables)
            else:
                return
        who = "; ".join(text for text, _ in waiting) or "somebody, for a moment"
        if asyncio.get_running_loop().time() > ends:
            raise Transient(
                f"{title}: the lock on {named} was not had within {patience:g} s; in the way: {who}. "
                "Nothing is left half done: run this again when they have ended"
            )
        say(f"  waiting for the lock on {named}; in the way: {who}")
        await asyncio.sleep(backoff.next())


async def _blockers(connection: Connection, tables: Sequence[Name]) -> list[tuple[str, int]]:
    rows = await connection.fetch("looking for open transactions", _BLOCKERS, [table.sql for table in tables])
    return [
        (
            f"process {row['pid']} ({row['who']}, role {row['role']}), open for {row['age']} s",
            int(row["age"] or 0),
        )
        for row in rows
    ]
