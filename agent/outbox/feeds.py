"""The feeds of a service: which tables are read, and what their columns mean. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from agent.config.sections.outbox import Changes, Outbox, Table
from agent.outbox.names import LONGEST, Name
from agent.runtime.errors import Misconfigured, Problem

FIELDS = ("id", "aggregatetype", "key", "type", "payload", "traceparent")
"""What a column of an outbox table can be, as ``columns`` names it."""

PRESETS: Mapping[str, Mapping[str, str]] = {
    "pillion": {each: each for each in FIELDS},
    "debezium": {
        "id": "id",
        "aggregatetype": "aggregatetype",
        "key": "aggregateid",
        "type": "type",
        "payload": "payload",
        "traceparent": "traceparent",
    },
    # Eventuate Tram's table "message"; the names of the headers are those of its Message and EventMessageHeaders.
    "eventuate": {
        "id": "id",
        "aggregatetype": "destination",
        "key": "headers->>PARTITION_ID",
        "type": "headers->>event-type",
        "payload": "payload",
        "traceparent": "headers->>traceparent",
    },
    # OutboxMessage of MassTransit's Entity Framework Core outbox, as Entity Framework names it.
    "masstransit": {
        "id": "MessageId",
        "aggregatetype": "DestinationAddress",
        "key": "CorrelationId",
        "type": "MessageType",
        "payload": "Body",
        "traceparent": "Headers->>MT-Activity-Id",
    },
    # The event model of the Open Outbox specification, whose event_type is the default destination.
    "open-outbox": {
        "id": "event_id",
        "aggregatetype": "event_type",
        "key": "partition_key",
        "type": "event_type",
        "payload": "payload",
        "traceparent": "headers->>traceparent",
    },
}
"""The columns of each preset; all but ``id`` and ``payload`` may be absent from the table."""

_BY_TYPE = "outbox.event.{aggregatetype}"

TOPICS = {
    "pillion": "{service}.{table}",
    "debezium": _BY_TYPE,
    "eventuate": _BY_TYPE,
    "masstransit": "{service}.{table}",
    "open-outbox": _BY_TYPE,
}
"""A preset's topic where none is set."""

CONTENTS = {"eventuate": "application/json", "masstransit": "application/vnd.masstransit+json"}
"""Media type of a preset's payload where that is a column of text."""

REQUIRED = frozenset({"id", "payload"})


@dataclass(frozen=True)
class Feed:
    """One table that is read."""

    name: str
    """The table's name as text: the feed's key in Pillion's own tables."""
    table: Name
    own: bool
    """It is Pillion's own table, filled by triggers; else the service writes it."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Column by field; empty for Pillion's own table."""
    required: frozenset[str] = REQUIRED
    """Fields whose column must exist: those that the operator named, and those without which there is no
    event."""
    topics: Mapping[str, str] = field(default_factory=dict)
    """The topic's template by the table that the event is about; ``""`` stands for any other."""
    content: str = ""
    """Media type of a payload of text; empty: plain text."""
    by_commit: bool = False
    """Its rows are numbered as their transactions commit, by a trigger; else as they are written."""


def feeds(settings: Outbox) -> tuple[Feed, ...]:
    """The feeds that the settings ask for; raises Misconfigured with every problem."""
    problems: list[Problem] = []
    found = [
        feed for n, table in enumerate(settings.tables) for feed in _of_table(n, table, settings, problems)
    ]
    topics = {"": "{service}.{table}"}
    for number, change in enumerate(settings.changes):
        name = _name(f"outbox.changes[{number}].table", change.table, problems)
        if name is not None:
            topics[str(name)] = change.topic or topics[""]
        problems += _check_changes(f"outbox.changes[{number}]", change)
    if settings.changes:
        own = Name(settings.schema, "outbox")
        found.append(Feed(str(own), own, True, topics=topics))
    problems += _twice("outbox.tables", [feed.name for feed in found])
    if problems:
        raise Misconfigured(problems)
    return tuple(found)


def column(mapped: str) -> str:
    """The column that a field is in, or in a member of: ``COLUMN`` or ``COLUMN->>NAME``."""
    return mapped.partition("->>")[0]


def missing(feed: Feed, columns: Collection[str]) -> list[str]:
    """The columns that a feed must have and that are not among these."""
    return sorted({column(feed.columns[each]) for each in feed.required} - set(columns))


def _of_table(number: int, table: Table, settings: Outbox, problems: list[Problem]) -> Iterable[Feed]:
    key = f"outbox.tables[{number}]"
    name = _name(f"{key}.table", table.table, problems)
    unknown = sorted(set(table.columns) - set(FIELDS))
    if unknown:
        problems.append(Problem(f"{key}.columns", f"has {', '.join(unknown)}", f"only {', '.join(FIELDS)}"))
    problems += [
        Problem(f"{key}.columns", f"says that {each} is {mapped!r}", "a whole column")
        for each, mapped in table.columns.items()
        if each in REQUIRED and column(mapped) != mapped
    ]
    if name is not None and name.schema == settings.schema:
        problems.append(Problem(f"{key}.table", "is in Pillion's own schema", "a table of the service"))
    if name is not None:
        columns = {**PRESETS[table.preset], **table.columns}
        topic = table.topic or TOPICS[table.preset]
        content = CONTENTS.get(table.preset, "")
        required = REQUIRED | set(table.columns)
        by_commit = table.order == "commit"
        yield Feed(str(name), name, False, columns, required, {"": topic}, content, by_commit)


def _name(key: str, text: str, problems: list[Problem]) -> Name | None:
    try:
        return Name.parse(text)
    except ValueError as error:
        problems.append(Problem(key, str(error), "NAME or SCHEMA.NAME"))
        return None


def _check_changes(key: str, change: Changes) -> list[Problem]:
    problems = []
    if change.include and change.exclude:
        problems.append(Problem(f"{key}.exclude", "is set beside include", "one of the two"))
    unknown = sorted(set(change.types) - {"insert", "update", "delete", "truncate"})
    if unknown:
        problems.append(
            Problem(f"{key}.types", f"has {', '.join(unknown)}", "insert, update, delete, truncate")
        )
    if not change.operations:
        problems.append(Problem(f"{key}.operations", "is empty", "insert, update, delete"))
    problems += [
        Problem(f"{key}.{group}", f"has {column!r}, which can't be a column")
        for group in ("key", "only", "include", "exclude", "mask")
        for column in getattr(change, group)
        if not column or "\0" in column or len(column.encode()) > LONGEST
    ]
    problems += [
        Problem(f"{key}.types", f"has {word!r}", "printable text")
        for word in change.types.values()
        if not word or not word.isprintable()
    ]
    return problems


def _twice(key: str, names: list[str]) -> list[Problem]:
    return [Problem(key, f"names {name} twice") for name in sorted({n for n in names if names.count(n) > 1})]
