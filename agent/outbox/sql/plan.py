"""What ``pillion outbox init`` has to do, as steps of SQL; pure. ``pillion outbox sql`` prints the same
steps."""

# ruff: noqa: S608 - names are quoted by names.identifier

from agent.config.sections.outbox import Outbox
from agent.outbox.feeds import Feed, feeds
from agent.outbox.names import Name, identifier
from agent.outbox.shape import ADDED
from agent.outbox.sql import TABLES, VERSION, rendered
from agent.outbox.sql.changes import FORMER, TRIGGERS, changes_steps
from agent.outbox.sql.commit import undone
from agent.outbox.sql.facts import Facts
from agent.outbox.sql.needs import needs, schemas
from agent.outbox.sql.owner import dropped, made, owner_steps
from agent.outbox.sql.roles import OWNER
from agent.outbox.sql.steps import NOTHING_SEEN, Existing, Step, opening, record
from agent.outbox.sql.tables import table_steps
from agent.runtime.errors import Misconfigured, Problem


def names(settings: Outbox) -> tuple[Name, ...]:
    """The tables of the service that matter."""
    changed = [Name.parse(change.table) for change in settings.changes]
    return tuple(dict.fromkeys([*outboxes(settings), *changed]))


def outboxes(settings: Outbox) -> tuple[Name, ...]:
    """Those of them that the service writes its events to."""
    return tuple(feed.table for feed in feeds(settings) if not feed.own)


def plan(settings: Outbox, facts: Facts, existing: Existing | None) -> list[Step]:
    """The steps that are missing, in order; raises Misconfigured with every problem."""
    problems: list[Problem] = []
    steps = _schema(settings, facts, problems)
    for feed in feeds(settings):
        steps += (
            _own(feed, settings, facts)
            if feed.own
            else table_steps(feed, settings, facts, existing, problems)
        )
    for number, change in enumerate(settings.changes):
        steps += changes_steps(f"outbox.changes[{number}]", change, settings, facts, problems)
    if problems:
        raise Misconfigured(problems)
    return steps


def grants(settings: Outbox, role: str) -> str:
    """The rights of a role that only relays."""
    to = identifier(role)
    lines = [f"GRANT USAGE ON SCHEMA {identifier(each)} TO {to};" for each in schemas(settings)]
    lines += [
        f"GRANT {need.rights} ON {', '.join(each.sql for each in need.tables)} TO {to};"
        for need in needs(settings)
    ]
    return "\n".join(lines)


def removal(settings: Outbox, facts: Facts) -> list[Step]:
    """Undo everything, the saved position included."""
    steps = []
    for change in settings.changes:
        name = Name.parse(change.table)
        if name in facts.tables:
            drops = [
                f"DROP TRIGGER IF EXISTS {identifier(each)} ON {name.sql};" for each in (*FORMER, *TRIGGERS)
            ]
            steps.append(Step(f"remove the triggers of {name}", "\n".join(drops), locks=name))
    for feed in feeds(settings):
        if not feed.own and feed.table in facts.tables:
            sql = f"ALTER TABLE {feed.table.sql} DROP COLUMN IF EXISTS xid, DROP COLUMN IF EXISTS {ADDED};"
            sql = "\n".join([*undone(feed, settings.schema, facts, facts.tables[feed.table]), sql])
            steps.append(Step(f"remove what was added to {feed.name}", sql, locks=feed.table))
    sql = f"DROP SCHEMA IF EXISTS {identifier(settings.schema)} CASCADE;"
    steps.append(Step("remove Pillion's schema", sql))
    if facts.owner is not None and facts.installer.superuser:
        steps.append(Step(f"remove the role {OWNER} where nothing else needs it", dropped()))
    return steps


def _schema(settings: Outbox, facts: Facts, problems: list[Problem]) -> list[Step]:
    if facts.schema not in ("absent", "ours"):
        problems.append(Problem("outbox.schema", f"can't be used: {facts.schema}"))
        return []
    if facts.version > VERSION:
        wrong = f"holds version {facts.version}, made by a later Pillion than this one, which knows {VERSION}"
        problems.append(Problem("outbox.schema", wrong))
    steps = []
    if facts.version < VERSION:
        steps.append(_making(settings.schema, facts.version))
    return steps + owner_steps(settings.schema, facts, problems, fresh=facts.version == 0)


def _making(schema: str, there: int) -> Step:
    note = f"INSERT INTO {identifier(schema)}.version (version) VALUES ({VERSION});"
    more = [rendered(file, schema) for file in TABLES]
    if there == 0:
        sql = "\n".join([rendered("schema.sql", schema), *more, made(schema), note])
        return Step(f"make the schema {schema} with its tables and functions", sql)
    sql = "\n".join([rendered("upgrade.sql", schema), *more, made(schema), note])
    return Step(f"bring the schema {schema} from version {there} to {VERSION}", sql)


def _own(feed: Feed, settings: Outbox, facts: Facts) -> list[Step]:
    if feed.name in facts.feeds and facts.feeds[feed.name].open:
        return []
    sql = f"{record(feed, settings, 'none', NOTHING_SEEN)}\n{opening(feed, settings)}"
    return [Step(f"start reading {feed.name}", sql)]
