"""Where messages come from: one module a broker, chosen by the scheme of ``inbox.broker.url`` and imported only
then.

``nats`` with ``nats_api`` and ``nats_stream``; ``kafka`` with ``kafka_reader``, ``kafka_group`` and ``offsets``;
``rabbitmq``; ``redis`` with ``redis_group`` and ``resp``.
``basket`` is where a connection puts what came. A source knows its broker alone: what is done with a message, and who
may have a partition, is decided elsewhere.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from agent.config.sections.inbox import InboxBroker
from agent.outbox.inbox.message import Parcel
from agent.outbox.inbox.shares import Place
from agent.runtime.errors import Misconfigured, Problem


class Stream(Protocol):
    """A live connection to one partition of a topic.

    What it hands out is in the partition's order, key by key, from the first message that was not settled; only one
    handed-out copy of a message is open at a time, and of those at most ``inbox.broker.held``. What is not settled when
    the connection ends is handed out again, here or to who comes next, before all that followed it; a message is never
    requeued behind others. What was settled may be handed out again, too: it is known then.
    """

    async def fetch(self) -> Sequence[Parcel]:
        """What came, at least one; waits for it. Raises Transient when the connection is gone."""

    async def done(self, parcel: Parcel) -> None:
        """Acknowledge it. A lost acknowledgement is no error: it comes again, and is known then."""

    async def dead(self, parcel: Parcel) -> None:
        """It was set aside: the broker is not to hand it out again."""

    async def keep(self, parcels: Sequence[Parcel]) -> None:
        """A sign of life: these are still being worked on or wait, and are not to be handed out again yet."""


class Source(Protocol):
    """A broker that messages come from."""

    name: str
    """As in settings and spans."""

    keep_every: float
    """Seconds between two calls of ``Stream.keep``."""

    def open(self, place: Place, *, alone: bool) -> AbstractAsyncContextManager[Stream]:
        """The partition for the body; who had it before gets nothing of it any more, or is waited for. What the broker
        calls that partition is the source's to know.

        ``alone``: nobody else guards who may have it, so the one who has it now is waited for. Raises Transient or
        Permanent while it can't be had; either may be tried again later.
        """


SELDOM = 3600.0
"""``keep_every`` where a broker waits for as long as the connection lives."""

SOURCES: Mapping[str, tuple[str, str]] = {
    "nats": ("agent.outbox.inbox.sources.nats", "nats"),
    "tls": ("agent.outbox.inbox.sources.nats", "nats"),
    "kafka": ("agent.outbox.inbox.sources.kafka", "kafka"),
    "kafka+ssl": ("agent.outbox.inbox.sources.kafka", "kafka"),
    "amqp": ("agent.outbox.inbox.sources.rabbitmq", "rabbitmq"),
    "amqps": ("agent.outbox.inbox.sources.rabbitmq", "rabbitmq"),
    "redis": ("agent.outbox.inbox.sources.redis", "redis"),
    "rediss": ("agent.outbox.inbox.sources.redis", "redis"),
}
"""By scheme of the URL: the module and the extra that brings its driver."""


def make(settings: InboxBroker, url: str, read: Callable[[], str], consumer: str, lease: float) -> Source:
    """The source that the URL names; ``read`` gives the newest URL. Raises Misconfigured."""
    scheme = url.partition("://")[0].strip().lower() if "://" in url else ""
    if scheme not in SOURCES:
        known = ", ".join(f"{each}://" for each in SOURCES)
        raise Misconfigured(
            [
                Problem(
                    "inbox.broker.url",
                    "has a scheme that the inbox does not know",
                    f"an URL with one of {known}",
                )
            ]
        )
    module, extra = SOURCES[scheme]
    try:
        made: Source = importlib.import_module(module).make(settings, read, consumer, lease)
    except ImportError as error:
        wrong = f"needs {error.name}, which is not installed: pip install 'pillion[{extra}]'"
        raise Misconfigured([Problem("inbox.broker.url", wrong)]) from error
    return made
