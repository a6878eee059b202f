"""A relay that lost its database or its share comes back: soon after it worked for long, ever later where it fails."""

import pytest
from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Broker, Changes, Outbox
from agent.outbox import brokers
from agent.outbox.leases import LostError
from agent.outbox.metrics import Metrics
from agent.outbox.relay import FeedRelay, Relay
from agent.runtime.errors import PillionError, Transient
from agent.runtime.health import Board


class Clock:
    """Seconds that pass only as they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def feed(clock: Clock) -> FeedRelay:
    settings = Outbox(
        database="postgresql://127.0.0.1/shop",
        changes=(Changes(table="orders"),),
        broker=Broker(url="nats://127.0.0.1:1"),
    )
    relay = Relay(
        settings, service="shop", identity="one", url=lambda: settings.database,
        broker=brokers.make(settings.broker, "shop"), health=Board(clock).of("relay"),
        metrics=Metrics(CollectorRegistry()), clock=clock,
    )  # fmt: skip
    return relay._feeds[0]


@pytest.mark.parametrize("error", [LostError("another has it"), Transient("the database is away")])
async def test_what_failed_often_is_tried_again_at_once_when_it_had_worked_for_long(
    monkeypatch: pytest.MonkeyPatch, error: PillionError
) -> None:
    clock = Clock()
    one = feed(clock)
    worked = [0.0] * 8 + [3600.0, 0.0]
    pauses: list[float] = []

    async def once() -> None:
        clock.now += worked[len(pauses)]
        raise error

    async def rest(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(worked):
            one._stopping.set()

    monkeypatch.setattr(one, "_once", once)
    monkeypatch.setattr(one, "_rest", rest)
    await one.run()
    assert pauses[7] >= 7.5, "it had failed eight times in a row"
    assert pauses[8] <= 0.2, "what had worked for an hour"
    assert 0.2 <= pauses[9] <= 0.4, "and what failed after that"
