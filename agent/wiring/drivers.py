"""Whether the drivers that the settings need are installed; imports none of them."""

from collections.abc import Container, Iterator, Mapping
from importlib.util import find_spec

from agent.config.settings import Settings
from agent.outbox import brokers
from agent.outbox.inbox import sources
from agent.runtime.errors import Misconfigured, Problem

LIBRARIES = {"kafka": "confluent_kafka", "rabbitmq": "aio_pika", "nats": "nats", "postgres": "asyncpg"}
"""By extra; the others bring none."""
SPOKEN = frozenset({"nats"})
"""What the outbox speaks without a library, and the inbox with one."""


def check(settings: Settings) -> None:
    """Raise Misconfigured for what is missing: known before anything is started, and not by the agent's death."""
    if wrong := [*outbox(settings), *inbox(settings)]:
        raise Misconfigured(wrong)


def missing(key: str, library: str, extra: str) -> Problem:
    """A library that is not there, and how to get it."""
    return Problem(key, f"needs {library}, which is not installed: pip install 'pillion[{extra}]'")


def outbox(settings: Settings) -> Iterator[Problem]:
    """What the outbox lacks: ``outbox`` its database's driver, ``outbox.broker.url`` its broker's."""
    own = settings.outbox
    if own.tables or own.changes:
        yield from _installed("outbox", "postgres")
        yield from _broker("outbox.broker.url", own.broker.url, brokers.BROKERS, SPOKEN)


def inbox(settings: Settings) -> Iterator[Problem]:
    """What the inbox lacks: ``inbox`` the database's driver, which one that remembers nothing loads too, and its
    broker's by the URL's setting."""
    own = settings.inbox
    if not own.topics:
        return
    yield from _installed("inbox", "postgres")
    key = "inbox.broker.url" if own.broker.url else "outbox.broker.url"
    url = own.broker.url or settings.outbox.broker.url
    yield from _broker(key, url, sources.SOURCES, frozenset())


def _broker(
    key: str, url: str, known: Mapping[str, tuple[str, str]], spoken: Container[str]
) -> Iterator[Problem]:
    scheme = url.partition("://")[0].strip().lower()
    if scheme not in known:
        # What stands before "://" may be part of a secret where the scheme was forgotten.
        schemes = ", ".join(f"{each}://" for each in known)
        yield Problem(key, "has a scheme that is not known", f"a URL with one of {schemes}")
    elif known[scheme][1] not in spoken:
        yield from _installed(key, known[scheme][1])


def _installed(key: str, extra: str) -> Iterator[Problem]:
    library = LIBRARIES.get(extra)
    if library is not None and not _there(library):
        yield missing(key, library, extra)


def _there(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ValueError:  # what a test, or a person, put in its place
        return False
