"""The outbox: what it needs, and what it is told about tables."""

import re
from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.settings import Settings


def connections(settings: Settings) -> Iterator[Finding]:
    """An outbox has a database and a broker, and both are URLs. Their values are secret."""
    outbox = settings.outbox
    wanted = bool(outbox.tables or outbox.changes)
    if wanted and not outbox.database:
        yield Finding(
            "outbox.database",
            "is missing",
            "postgresql://… by PILLION_OUTBOX_DATABASE or outbox.database_file",
        )
    if outbox.database and not re.match(r"postgres(ql)?://.", outbox.database):
        yield Finding(
            "outbox.database", "is not a PostgreSQL URL", "postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if wanted and not outbox.broker.url:
        yield Finding(
            "outbox.broker.url",
            "is missing",
            "a URL such as nats://HOST:4222, by PILLION_OUTBOX_BROKER_URL or outbox.broker.url_file",
        )
    if outbox.require_durable and re.match(r"https?://", outbox.broker.url):
        yield Finding(
            "outbox.require_durable",
            "can't be kept with HTTP, where what the receiver does before it answers is not to be seen",
            "false, or another broker",
        )
    if outbox.broker.url and not re.match(r"[a-z][a-z0-9+.-]*://.", outbox.broker.url):
        yield Finding("outbox.broker.url", "is not a URL", "a URL such as nats://HOST:4222")


def tables(settings: Settings) -> Iterator[Finding]:
    """A table is one feed, and its columns are said without contradiction."""
    feeds = [(f"outbox.tables[{index}]", one.table) for index, one in enumerate(settings.outbox.tables)]
    feeds += [(f"outbox.changes[{index}]", one.table) for index, one in enumerate(settings.outbox.changes)]
    seen: set[str] = set()
    for key, table in feeds:
        if table in seen:
            yield Finding(f"{key}.table", f"is {table!r}, which is there already", "each table once")
        seen.add(table)
    for index, change in enumerate(settings.outbox.changes):
        key = f"outbox.changes[{index}]"
        if both := sorted(set(change.include) & set(change.exclude)):
            yield Finding(
                f"{key}.exclude", f"names {both[0][:80]!r}, which include names too", "one of the two"
            )
        if not change.operations:
            yield Finding(f"{key}.operations", "is empty", "some of insert, update, delete")


def templates(settings: Settings) -> Iterator[Finding]:
    """A topic's placeholders are ones that are filled in."""
    for index, one in enumerate(settings.outbox.tables):
        yield from _topic(f"outbox.tables[{index}].topic", one.topic, {"service", "table", "aggregatetype"})
    for index, change in enumerate(settings.outbox.changes):
        yield from _topic(f"outbox.changes[{index}].topic", change.topic, {"service", "table"})


def _topic(key: str, topic: str, known: set[str]) -> Iterator[Finding]:
    rest = re.sub(r"\{(" + "|".join(sorted(known)) + r")\}", "x", topic)
    if re.search(r"[{}\s]", rest):
        places = ", ".join(f"{{{name}}}" for name in sorted(known))
        yield Finding(key, f"is {topic[:80]!r}", f"a subject without spaces, with {places} filled in")
