"""Where events go: one module a broker, chosen by the scheme of ``outbox.broker.url`` and imported only then.

``nats`` speaks by ``nats_wire`` and asks by ``nats_untaken``; ``redis`` by ``redis_wire`` and ``entries``; ``http`` by
``pool``, ``exchange``, ``requests`` and ``signing``: these three need no driver, and have ``connection`` in common.
``kafka`` (with ``kafka_topics`` and ``kafka_headers``) and ``rabbitmq`` (with ``rabbitmq_connection`` and
``rabbitmq_routes``) use their libraries. ``headers`` writes what
CloudEvents needs, ``tls`` says whom to trust, ``durable`` refuses what may lose events. A broker's module knows its
broker alone; when something is sent, and what becomes of a refused event, is decided elsewhere.
"""

import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from agent.config.sections.outbox import Broker as Settings
from agent.outbox.events import Event
from agent.runtime.errors import Misconfigured, Problem


class Outcomes(Protocol):
    """Who sends is told here what became of each event; never from within ``send``."""

    def acknowledged(self, number: int) -> None:
        """The broker has stored the event as durably as it says it does."""

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        """The broker understood the event and did not take it; ``reason`` shows nothing of its content. ``own``: it is
        what the event is that was refused, as its size; not where it goes, which a person can put right."""

    def later(self, number: int, reason: str, delay: float = 0.0) -> None:
        """The broker did not take this event now, though it may in ``delay`` seconds, and takes others meanwhile."""

    def lost(self, reason: str) -> None:
        """The link is gone: nothing more will be told of what is in flight."""


class Link(Protocol):
    """A live connection to a broker."""

    largest: int
    """Bytes of the largest body that may be taken."""
    warnings: tuple[str, ...]
    """What makes an acknowledgement less durable than it sounds, each with what to do."""

    def send(self, number: int, event: Event) -> None:
        """Send one event; its outcome comes later under ``number``, which is used once on a link.

        What was sent twice with the same event id is stored once, as far as the broker can tell. Raises
        RefusedError for what can't be sent at all. Order is kept between two events only if the second is
        sent after the first's outcome.
        """

    async def answers(self) -> bool:
        """Whether what stores events is there and answers: then an event without an answer was passed by."""


class Broker(Protocol):
    """A broker that events are published to."""

    name: str
    """As in settings and metrics."""

    def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AbstractAsyncContextManager[Link]:
        """A link for the body, closed after it. ``topics`` are the patterns of what will be sent, for a
        stream that is to be created. Raises Transient or Permanent while it can't be had; either may be
        tried again later.
        """


BROKERS: Mapping[str, tuple[str, str]] = {
    "nats": ("agent.outbox.brokers.nats", "nats"),
    "tls": ("agent.outbox.brokers.nats", "nats"),
    "kafka": ("agent.outbox.brokers.kafka", "kafka"),
    "kafka+ssl": ("agent.outbox.brokers.kafka", "kafka"),
    "amqp": ("agent.outbox.brokers.rabbitmq", "rabbitmq"),
    "amqps": ("agent.outbox.brokers.rabbitmq", "rabbitmq"),
    "redis": ("agent.outbox.brokers.redis", "redis"),
    "rediss": ("agent.outbox.brokers.redis", "redis"),
    "http": ("agent.outbox.brokers.http", "http"),
    "https": ("agent.outbox.brokers.http", "http"),
}
"""By scheme of the URL: the module and the extra that brings its driver."""


def make(settings: Settings, service: str, *, durable: bool = False) -> Broker:
    """The broker that the settings name; raises Misconfigured. ``durable``: a link can't be had while an event that was
    acknowledged may be lost, as far as that can be seen."""
    # Not by a URL's library: its errors show what stands before the host, and with it the password.
    scheme = settings.url.partition("://")[0].strip().lower() if "://" in settings.url else ""
    if scheme not in BROKERS:
        known = ", ".join(f"{each}://" for each in BROKERS)
        # What stands before "://" may be part of a secret where the scheme was forgotten.
        wrong = "has a scheme that is not known" if settings.url else "is not set"
        raise Misconfigured([Problem("outbox.broker.url", wrong, f"an URL with one of {known}")])
    module, extra = BROKERS[scheme]
    try:
        made: Broker = importlib.import_module(module).make(settings, service, durable=durable)
    except ImportError as error:
        wrong = f"needs {error.name}, which is not installed: pip install 'pillion[{extra}]'"
        raise Misconfigured([Problem("outbox.broker.url", wrong)]) from error
    return made
