"""What `pillion doctor` looks at in the inbox; apart because the database's driver is an extra."""

from collections.abc import Sequence

from agent.config.settings import Settings
from agent.doctor.finding import Finding, absent, ok, problem, warning
from agent.outbox.database import Database
from agent.outbox.inbox.letters import Letters
from agent.outbox.sql.install import SESSION
from agent.runtime.errors import PillionError
from agent.wiring import doctor_broker
from agent.wiring.inbox import database

SUBJECT = "the inbox's tables in the consumer's database"


async def findings(settings: Settings) -> Sequence[Finding]:
    """``inbox.database``, ``inbox.dead`` and ``inbox.broker``."""
    return [*await _database(settings), *await doctor_broker.inbox(settings)]


async def _database(settings: Settings) -> list[Finding]:
    if settings.inbox.dedupe == "none":
        return [absent("inbox.database", SUBJECT, "nothing is remembered (inbox.dedupe is none)")]
    own = settings.inbox
    try:
        async with Database(
            database(settings).read, timeout=5.0, settings=SESSION
        ).connection() as connection:
            letters = Letters(connection, own.schema, own.consumer or settings.service.name)
            dead = sum(one.dead for one in await letters.partitions())
    except PillionError as error:
        todo = "Run `pillion inbox init` where its tables are missing; else mend inbox.database(_file)."
        return [problem("inbox.database", SUBJECT, str(error), todo)]
    found = [ok("inbox.database", SUBJECT, "they are there")]
    if dead:
        todo = "See `pillion inbox dead`; `replay` or `discard` them."
        found.append(warning("inbox.dead", "the inbox's dead letters", f"{dead} wait for a person", todo))
    return found
