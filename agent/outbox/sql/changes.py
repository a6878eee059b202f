"""Tables whose changes become events: their triggers. Pure."""

import hashlib
import json
from collections.abc import Sequence

from agent.config.sections.outbox import Changes, Outbox
from agent.outbox.names import Name, identifier, literal
from agent.outbox.sql import VERSION
from agent.outbox.sql.facts import Facts, TableFacts
from agent.outbox.sql.steps import Step
from agent.runtime.errors import Problem

TRIGGERS = ("!pillion_statement", "!pillion_row", "!pillion_truncate")
"""They sort before the service's own: a trigger of the service that writes the row again must come after
ours."""


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
    about = argument(change, name, table.primary_key)
    wanted = triggers(change, name, about, settings.schema)
    digest = {
        each: f"pillion {VERSION} {hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        for each, sql in wanted.items()
    }
    if dict(table.triggers) == digest:
        return []
    lines = [f"LOCK TABLE {name.sql} IN SHARE ROW EXCLUSIVE MODE;"]
    lines += [f"DROP TRIGGER {identifier(each)} ON {name.sql};" for each in table.triggers]
    for each, sql in wanted.items():
        lines += [sql, f"COMMENT ON TRIGGER {identifier(each)} ON {name.sql} IS {literal(digest[each])};"]
    return [Step(f"make changes of {name} events", "\n".join(lines), locks=name)]


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
    for group in ("key", "include", "exclude", "mask"):
        unknown = [column for column in getattr(change, group) if column not in table.columns]
        if unknown:
            problems.append(
                Problem(f"{key}.{group}", f"has {', '.join(unknown)}, which {change.table} has not")
            )
    return problems


def argument(change: Changes, name: Name, primary_key: Sequence[str]) -> str:
    """What the triggers are told, as JSON. It names columns, which a trigger's definition must not."""
    words = {"insert": "created", "update": "updated", "delete": "deleted", "truncate": "truncated"}
    types = {
        operation: change.types.get(operation, f"{name.table}.{word}") for operation, word in words.items()
    }
    about: dict[str, object] = {"origin": str(name), "key": list(change.key or primary_key), "types": types}
    for group in ("include", "exclude", "mask"):
        if getattr(change, group):
            about[group] = list(getattr(change, group))
    return json.dumps(about, ensure_ascii=False, sort_keys=True)


def triggers(change: Changes, name: Name, about: str, schema: str) -> dict[str, str]:
    """The triggers of a table by name."""
    quoted, told = identifier(schema), literal(about)
    statement, row, truncate = (identifier(each) for each in TRIGGERS)
    events = " OR ".join(each.upper() for each in ("insert", "update", "delete") if each in change.operations)
    function = "capture_or_record" if change.on_error == "record" else "capture"
    truncates = " OR TRUNCATE" if "delete" in change.operations else ""
    found = {
        TRIGGERS[0]: f"CREATE TRIGGER {statement} BEFORE {events}{truncates} ON {name.sql} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {quoted}.trace();",
        TRIGGERS[1]: f"CREATE TRIGGER {row} AFTER {events} ON {name.sql} "
        f"FOR EACH ROW EXECUTE FUNCTION {quoted}.{function}({told});",
    }
    if truncates:
        found[TRIGGERS[2]] = (
            f"CREATE TRIGGER {truncate} AFTER TRUNCATE ON {name.sql} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {quoted}.truncated({told});"
        )
    return found
