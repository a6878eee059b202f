"""The inbox: where its messages come from, and where it remembers what was done."""

import re
from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.settings import Settings


def connections(settings: Settings) -> Iterator[Finding]:
    """An inbox has a broker, and a database unless it is to do without. Their values are secret."""
    inbox, outbox = settings.inbox, settings.outbox
    if inbox.database and not re.match(r"postgres(ql)?://.", inbox.database):
        yield Finding("inbox.database", "is not a PostgreSQL URL", "postgresql://USER:PASSWORD@HOST/DATABASE")
    if inbox.broker.url and not re.match(r"[a-z][a-z0-9+.-]*://.", inbox.broker.url):
        yield Finding("inbox.broker.url", "is not a URL", "a URL such as nats://HOST:4222")
    if not inbox.topics:
        return
    if not inbox.broker.url and not outbox.broker.url:
        yield Finding(
            "inbox.broker.url",
            "is missing, and so is outbox.broker.url",
            "a URL such as nats://HOST:4222, by PILLION_INBOX_BROKER_URL or inbox.broker.url_file",
        )
    if inbox.dedupe == "database" and not inbox.database and not outbox.database:
        yield Finding(
            "inbox.database",
            "is missing, and so is outbox.database",
            "postgresql://… by PILLION_INBOX_DATABASE or inbox.database_file, or inbox.dedupe: none",
        )


def topics(settings: Settings) -> Iterator[Finding]:
    """A topic comes once, and its tables are apart from the outbox's."""
    seen: set[str] = set()
    url = settings.inbox.broker.url or settings.outbox.broker.url
    if settings.inbox.dedupe == "none" and re.match(r"kafka(\+ssl)?://", url, re.IGNORECASE):
        for index, one in enumerate(settings.inbox.topics):
            if one.partitions > 1:
                yield Finding(
                    f"inbox.topics[{index}].partitions",
                    f"is {one.partitions}, which can't be shared on Kafka without a database",
                    "1 with inbox.dedupe: none",
                )
    for index, one in enumerate(settings.inbox.topics):
        if one.topic in seen:
            yield Finding(
                f"inbox.topics[{index}].topic",
                f"is {one.topic[:80]!r}, which is there already",
                "each topic once",
            )
        seen.add(one.topic)
    if settings.inbox.topics and settings.inbox.schema == settings.outbox.schema:
        yield Finding("inbox.schema", "is the outbox's schema too", "a schema of its own")
    if settings.inbox.retry_last < settings.inbox.retry_first:
        yield Finding("inbox.retry_last", "is shorter than inbox.retry_first", "at least as long")
