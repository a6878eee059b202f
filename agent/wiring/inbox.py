"""The inbox, apart because its drivers are extras: imported only where the settings ask for it."""

from collections.abc import Callable, Sequence

import msgspec
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from agent.config.secret import Secret
from agent.config.sections.inbox import InboxBroker
from agent.config.settings import Settings
from agent.outbox.database import Database
from agent.outbox.inbox import metrics, sources
from agent.outbox.inbox.book import Forgetful
from agent.outbox.inbox.inbox import Inbox, Opens
from agent.outbox.inbox.ledger import Books, Whose
from agent.outbox.inbox.shares import Place
from agent.outbox.relay import boot_clock
from agent.runtime.health import Health
from agent.wiring.base import Base


def inbox(base: Base, instance: str, tracer: Tracer) -> Inbox:
    """The service's inbox; ``instance`` is this instance's stable id. Raises Misconfigured."""
    return made(base.settings, instance, base.board.of("inbox"), base.collectors, tracer)


def made(
    settings: Settings, instance: str, health: Health, collectors: CollectorRegistry, tracer: Tracer | None
) -> Inbox:
    """The same from what it needs of an agent."""
    own, service = settings.inbox, settings.service
    consumer = own.consumer or service.name
    broker = _broker(settings)
    host = f"[{service.host}]" if ":" in service.host else service.host
    return Inbox(
        own,
        identity=instance,
        service=f"http://{host}:{service.port}",
        source=sources.make(broker, broker.url, _url(settings).read, consumer, own.lease),
        books=_books(settings, consumer),
        health=health,
        metrics=metrics.Metrics(collectors, [each.topic for each in own.topics]),
        tracer=tracer,
        clock=boot_clock,
    )


def _books(settings: Settings, consumer: str) -> Callable[[str, Sequence[Place]], Opens]:
    own, url = settings.inbox, database(settings)

    def make(me: str, places: Sequence[Place]) -> Opens:
        if own.dedupe == "none":
            return Forgetful()
        return Books(Database(url.read), Whose(own.schema, consumer, me, places, own.dead_body))

    return make


def database(settings: Settings) -> Secret:
    """The URL of the consumer's database."""
    given = settings.inbox.database or settings.inbox.database_file
    return (
        Secret.of(settings.inbox, "inbox.database")
        if given
        else Secret.of(settings.outbox, "outbox.database")
    )


def _broker(settings: Settings) -> InboxBroker:
    """The broker's settings, with those of the outbox where it is the outbox's broker."""
    own, outbox = settings.inbox.broker, settings.outbox.broker
    if own.url or own.url_file:
        return own
    return msgspec.structs.replace(own, url=outbox.url, ca_cert=own.ca_cert or outbox.ca_cert)


def _url(settings: Settings) -> Secret:
    own = settings.inbox.broker
    given = own.url or own.url_file
    return (
        Secret.of(own, "inbox.broker.url")
        if given
        else Secret.of(settings.outbox.broker, "outbox.broker.url")
    )
