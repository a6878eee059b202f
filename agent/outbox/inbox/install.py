"""The inbox's tables: how they are made, and what a role needs that only uses them. Pure."""

from importlib import resources

from agent.outbox.names import identifier

TABLES = ("member", "inbox_partition", "inbox_seen", "inbox_attempt", "inbox_dead")


def made(schema: str) -> str:
    """The SQL that makes what is missing."""
    text = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
    return text.format(schema=identifier(schema))


def grants(schema: str, role: str) -> str:
    """The rights of a role that only takes messages."""
    quoted, to = identifier(schema), identifier(role)
    tables = ", ".join(f"{quoted}.{each}" for each in TABLES)
    return (
        f"GRANT USAGE ON SCHEMA {quoted} TO {to};\nGRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {to};"
    )
