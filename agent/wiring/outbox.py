"""The relay, apart because its drivers are extras: imported only where the settings ask for it."""

from opentelemetry.trace import Tracer

from agent.config.secret import Secret
from agent.outbox import brokers, metrics
from agent.outbox.relay import Relay
from agent.wiring.base import Base


def relay(base: Base, instance: str, tracer: Tracer) -> Relay:
    """The relay of the service's feeds; ``instance`` is this instance's stable id. Raises Misconfigured."""
    settings, name = base.settings.outbox, base.settings.service.name
    return Relay(
        settings,
        service=name,
        identity=instance,
        url=Secret.of(settings, "outbox.database").read,
        broker=brokers.make(settings.broker, name, durable=settings.require_durable),
        health=base.board.of("relay"),
        metrics=metrics.Metrics(base.collectors),
        tracer=tracer,
    )
