"""Whom the trigger functions belong to, and so with whose rights they run. Pure.

A row is written as JSON by the casts of its columns' types, and those are code of whoever made the types: that
code runs with the rights of the functions' owner. So a superuser who installs gives them to a role that may add
events and nothing else. Tables, sequence and schema stay with the installer: who makes the role run his code can
read no event and move no position by it.
"""

from agent.outbox.names import identifier, literal
from agent.outbox.sql import NUMBERS, TRIGGER_FUNCTIONS, rendered
from agent.outbox.sql.facts import Facts
from agent.outbox.sql.roles import OWNER, Role
from agent.outbox.sql.steps import Step
from agent.runtime.errors import Problem

FUNCTIONS = (
    "pinned_json(anyelement)",
    "bucket_of(text, bigint)",
    "emit(text, text, oid, text, text, json, json)",
    "key_of(json, text[])",
    "hidden(jsonb, text, oid)",
    "chosen(jsonb, oid, json)",
    "masked(jsonb, oid, json)",
    "traced()",
    *(f"{each}()" for each in TRIGGER_FUNCTIONS),
)

_RISKY = ("CREATEROLE", "REPLICATION", "BYPASSRLS")


def made(schema: str) -> str:
    """The functions as SQL, for nobody but their owner."""
    quoted = identifier(schema)
    revokes = [f"REVOKE ALL ON FUNCTION {quoted}.{each} FROM PUBLIC;" for each in FUNCTIONS]
    return "\n".join([rendered("capture.sql", schema), *revokes])


def owner_steps(schema: str, facts: Facts, problems: list[Problem], *, fresh: bool) -> list[Step]:
    """What keeps the functions from running with too many rights; ``fresh``: they are only being made. What is
    wrong goes to ``problems``."""
    steps = []
    # Those that number a table's rows are made, and made anew, with its trigger.
    altered, loose = (
        [each for each in names if not each.startswith(NUMBERS)]
        for names in (facts.functions.altered, facts.functions.loose)
    )
    if altered and not fresh:
        steps.append(Step("put the trigger functions back as they were made", made(schema)))
    if not facts.installer.superuser or not (fresh or loose or facts.functions.poor):
        return steps
    wrong = _unfit(facts.owner)
    if wrong:
        fix = "a role that may nothing, with NOLOGIN; take that from it, or drop it"
        problems.append(Problem(f"the role {OWNER}", f"exists and {wrong}", fix))
        return steps
    return [
        *steps,
        Step(f"let the functions run with the rights of {OWNER}", _given(schema, facts.owner is None)),
    ]


def _given(schema: str, absent: bool) -> str:
    quoted = identifier(schema)
    lines = [f"CREATE ROLE {OWNER} NOLOGIN NOINHERIT;"] if absent else []
    lines += [
        f"GRANT USAGE ON SCHEMA {quoted} TO {OWNER};",
        f"GRANT INSERT ON {quoted}.outbox, {quoted}.outbox_failed TO {OWNER};",
        f"GRANT USAGE ON SEQUENCE {quoted}.outbox_id TO {OWNER};",
        *(f"ALTER FUNCTION {quoted}.{each} OWNER TO {OWNER};" for each in FUNCTIONS),
    ]
    return "\n".join(lines)


def _unfit(role: Role | None) -> str:
    if role is None:
        return ""
    found = [f"has {each}" for each in role.attributes]
    found += [f"is a member of {each}" for each in role.groups]
    found += [f"has the member {each}" for each in role.members]
    return " and ".join(found)


def warnings(facts: Facts) -> list[str]:
    """What an installer who is no superuser must know: others' code may run with its rights."""
    installer = facts.installer
    if installer.superuser:
        return []
    told = []
    powers = [each for each in installer.attributes if each in _RISKY]
    powers += [f"membership of {each}" for each in installer.powerful]
    if powers:
        told.append(
            f"the trigger functions run with the rights of {installer.name}, and who owns a watched table can run "
            f"code with them; {installer.name} has {', '.join(powers)}: install as a role without, or as a superuser"
        )
    if facts.functions.loose:
        told.append(
            "the trigger functions run with a superuser's rights: run `pillion outbox init` once as a superuser"
        )
    return told


def dropped() -> str:
    """SQL that drops the role unless functions of another schema or database are still its own."""
    body = (
        f"BEGIN DROP ROLE IF EXISTS {OWNER}; EXCEPTION WHEN dependent_objects_still_exist THEN "
        f"RAISE NOTICE 'the role {OWNER} is left because other schemas or databases of this cluster use it'; END"
    )
    return f"DO {literal(body)};"
