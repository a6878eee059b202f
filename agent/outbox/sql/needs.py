"""What a role that only relays may do, once: granted by ``plan.grants``, looked for by ``checkup.rights``. Pure."""

from dataclasses import dataclass

from agent.config.sections.outbox import Outbox
from agent.outbox.feeds import feeds
from agent.outbox.names import Name

OWN = (
    ("SELECT, UPDATE", ("feed", "bucket")),
    ("SELECT, INSERT, UPDATE, DELETE", ("relay",)),
    ("SELECT, DELETE", ("outbox",)),
    ("SELECT", ("version", "outbox_failed")),
    ("SELECT, INSERT, UPDATE, DELETE", ("held_key", "held_row")),
    ("SELECT, INSERT", ("held_audit",)),
)
"""Rights on Pillion's own tables."""


@dataclass(frozen=True)
class Need:
    """Rights on some tables of one schema; of the schema itself USAGE."""

    rights: str
    tables: tuple[Name, ...]


def schemas(settings: Outbox) -> tuple[str, ...]:
    """The schemas that a relay uses."""
    found = [settings.schema, *(feed.table.schema for feed in feeds(settings) if not feed.own)]
    return tuple(dict.fromkeys(found))


def needs(settings: Outbox) -> list[Need]:
    """The rights on tables, in the order in which they are granted."""
    own = [Need(rights, tuple(Name(settings.schema, each) for each in tables)) for rights, tables in OWN]
    return own + [Need("SELECT", (feed.table,)) for feed in feeds(settings) if not feed.own]
