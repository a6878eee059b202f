"""Whether the triggers that make or number events are there, at work, and as the settings ask."""

from agent.config.sections.outbox import Outbox
from agent.outbox.checkup import INIT, Remark
from agent.outbox.database import Connection
from agent.outbox.feeds import feeds
from agent.outbox.names import Name
from agent.outbox.shape import AT_COMMIT
from agent.outbox.sql import changes, commit
from agent.outbox.sql.facts import TableFacts, gather
from agent.outbox.sql.plan import names, outboxes
from agent.outbox.sql.roles import functions

_SILENT = """
SELECT format('%s.%s', n.nspname, c.relname) AS name FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgname LIKE '!pillion%' AND t.tgenabled NOT IN ('O', 'A') AND t.tgparentid <> 0
  AND t.tgrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)) ORDER BY 1"""

_ID = "outbox.triggers"


async def triggers(connection: Connection, settings: Outbox, doing: str) -> list[Remark]:
    """``outbox.triggers`` of each table that has some; raises Transient or Permanent."""
    facts = await gather(connection, settings.schema, names(settings), outboxes(settings))
    wanted: dict[Name, dict[str, str]] = {}
    for change in settings.changes:
        name = Name.parse(change.table)
        if (table := facts.tables.get(name)) is not None:
            made = changes.triggers(change, name, table, settings.schema)
            wanted[name] = {each: trigger.mark for each, trigger in made.items()}
    for feed in feeds(settings):
        if feed.by_commit:
            wanted[feed.table] = {AT_COMMIT: commit.trigger(feed, settings.schema)[1]}
    found = [
        await _table(connection, name, marks, facts.tables.get(name), doing) for name, marks in wanted.items()
    ]
    return [*found, *(await _functions(connection, settings, doing) if wanted else ())]


async def _table(
    connection: Connection, name: Name, wanted: dict[str, str], table: TableFacts | None, doing: str
) -> Remark:
    subject = f"the triggers of {name}"
    if table is None:
        return Remark(_ID, "problem", subject, "there is no such table, or this role may not see it", INIT)
    lost = [each for each in wanted if each not in table.triggers]
    off = [each for each in wanted if table.triggers.get(each, "").endswith(" (disabled)")]
    if AT_COMMIT in wanted:
        harm = "events get their place as they are written, not at the commit, and the relay stops"
    else:
        harm = "changes are no events, and what is not recorded now never will be"
    if lost:
        return Remark(_ID, "problem", subject, f"{', '.join(lost)} is missing: {harm}", INIT)
    if off:
        return Remark(
            _ID, "problem", subject, f"{', '.join(off)} is disabled: {harm}", f"{INIT} It turns them on."
        )
    silent = [row["name"] for row in await connection.fetch(doing, _SILENT, table.oid)]
    if silent:
        todo = "Run ALTER TABLE … ENABLE TRIGGER ALL for each of them."
        return Remark(
            _ID, "problem", subject, f"disabled on the partitions {', '.join(silent)}: {harm}", todo
        )
    if any(table.triggers[each] != mark for each, mark in wanted.items()):
        found = "they are of other settings, or of another version of Pillion"
        return Remark(_ID, "warning", subject, found, INIT)
    return Remark(_ID, "ok", subject, "there, at work, and as the settings ask")


async def _functions(connection: Connection, settings: Outbox, doing: str) -> list[Remark]:
    found = await functions(connection, doing, settings.schema)
    subject = "the rights of the trigger functions"
    if found.loose:
        told = f"{', '.join(found.loose)}: they run with a superuser's rights, and with them code of who owns a table"
        return [Remark("outbox.functions", "problem", subject, told, f"{INIT} As a superuser.")]
    if found.altered:
        told = f"{', '.join(found.altered)}: they do not run as they were made to"
        return [Remark("outbox.functions", "problem", subject, told, INIT)]
    if found.poor:
        told = f"{', '.join(found.poor)}: their owner lacks a right, so that the service's writes fail"
        return [Remark("outbox.functions", "problem", subject, told, f"{INIT} As who ran it first.")]
    return [Remark("outbox.functions", "ok", subject, "they can add events and do nothing else")]
