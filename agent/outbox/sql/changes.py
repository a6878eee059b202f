"""Tables whose changes become events: their triggers. Pure."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from agent.config.sections.outbox import Changes, Outbox
from agent.outbox.names import Name, identifier, literal
from agent.outbox.sql import VERSION
from agent.outbox.sql.facts import Facts, TableFacts
from agent.outbox.sql.steps import Step
from agent.runtime.errors import Problem

TRIGGERS = ("!pillion_row", "!pillion_truncate")
"""They sort before the service's own: a trigger of the service that writes the row again must come after
ours."""

FORMER = ("!pillion_statement",)
"""What earlier versions made beside them."""

RULES = ("only", "include", "exclude", "mask")
"""Settings that name columns, beside the key."""

WORDS = {"insert": "created", "update": "updated", "delete": "deleted", "truncate": "truncated"}
"""How an operation is called in an event's type."""


@dataclass(frozen=True)
class Trigger:
    """One trigger. Whoever may put triggers on the table can make it; it need not be his."""

    mark: str
    """Its last argument, which no function reads: tells whether the one in the database is as wanted."""
    sql: str


def changes_steps(
    key: str, change: Changes, settings: Outbox, facts: Facts, problems: list[Problem]
) -> list[Step]:
    """What a table still needs so that its changes are events; what is wrong goes to ``problems``."""
    name = Name.parse(change.table)
    table = facts.tables.get(name)
    found = _wrong_changes(key, change, table)
    problems += found
    if found or table is None:
        return []
    wanted = triggers(change, name, table, settings.schema)
    there = {each: mark for each, mark in table.triggers.items() if each not in FORMER}
    if there == {each: trigger.mark for each, trigger in wanted.items()}:
        return []
    # Dropping needs the strongest lock and the table's owner, so it comes first and only where it must be.
    lines = [f"DROP TRIGGER {identifier(each)} ON {name.sql};" for each in there if each not in wanted]
    lines += [
        _dropped(f"DROP TRIGGER {identifier(each)} ON {name.sql}")
        for each in FORMER
        if each in table.triggers
    ]
    lines += [trigger.sql for trigger in wanted.values()]
    return [Step(f"make changes of {name} events", "\n".join(lines), locks=name)]


def _dropped(statement: str) -> str:
    # It does nothing any more: who does not own the table need not find someone who does.
    body = f"BEGIN {statement}; EXCEPTION WHEN insufficient_privilege THEN NULL; END"
    return f"DO {literal(body)};"


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
    for group in ("key", *RULES):
        unknown = [column for column in getattr(change, group) if column not in table.columns]
        if unknown:
            problems.append(
                Problem(f"{key}.{group}", f"has {', '.join(unknown)}, which {change.table} has not")
            )
    return problems


def arguments(change: Changes, name: Name, table: TableFacts) -> tuple[str, ...]:
    """What the row trigger is told, as ``capture`` in capture.sql says. Columns are named here, and so not in
    the trigger's definition, which would keep the service from changing them."""
    key = list(change.key or table.primary_key)
    rules: dict[str, Any] = {rule: list(getattr(change, rule)) for rule in RULES if getattr(change, rule)}
    # A column stays hidden under another name too, once the service renames it.
    hidden = {
        rule: [table.columns[each].number for each in rules[rule]]
        for rule in ("exclude", "mask")
        if rule in rules
    }
    if hidden:
        rules["at"] = hidden
    simple = len(key) == 1 and not rules
    about = "" if simple else json.dumps({"key": key, **rules}, ensure_ascii=False, sort_keys=True)
    types = [_type(change, name, operation) for operation in ("insert", "update", "delete")]
    money = any(column.type.startswith("money") for column in table.columns.values())
    return (str(name), *types, key[0] if len(key) == 1 else "", about, "money" if money else "")


def _type(change: Changes, name: Name, operation: str) -> str:
    return change.types.get(operation, f"{name.table}.{WORDS[operation]}")


def triggers(change: Changes, name: Name, table: TableFacts, schema: str) -> dict[str, Trigger]:
    """The triggers of a table by name."""
    row = " OR ".join(each.upper() for each in ("insert", "update", "delete") if each in change.operations)
    capture = "capture_or_record" if change.on_error == "record" else "capture"
    truncates = "delete" in change.operations
    found: list[tuple[str, str, str, tuple[str, ...]]] = [
        (f"AFTER {row}", "ROW", capture, arguments(change, name, table))
    ]
    if truncates:
        told = (str(name), _type(change, name, "truncate"))
        found.append(("AFTER TRUNCATE", "STATEMENT", "truncated", told))
    return {
        each: _trigger(
            f"CREATE OR REPLACE TRIGGER {identifier(each)} {when} ON {name.sql} FOR EACH {level} "
            f"EXECUTE FUNCTION {identifier(schema)}.{function}",
            told,
        )
        for each, (when, level, function, told) in zip(TRIGGERS, found, strict=False)
    }


def _trigger(statement: str, told: tuple[str, ...]) -> Trigger:
    said = ", ".join(map(literal, told))
    mark = f"pillion {VERSION} {hashlib.sha256(f'{statement}({said})'.encode()).hexdigest()[:16]}"
    return Trigger(mark, f"{statement}({', '.join(map(literal, (*told, mark)))});")
