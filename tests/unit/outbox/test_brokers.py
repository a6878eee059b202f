"""Settings of a broker are secret, and what it promises is looked at."""

from typing import Any

import pytest

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from agent.outbox.brokers import nats
from agent.outbox.brokers.nats_wire import Server
from agent.runtime.errors import Misconfigured


@pytest.mark.parametrize(
    "url",
    [
        "nats://me:hunter2@[::1",
        "nats://me:hunter2@ho\u2100st:4222",
        "nats://me:hunter2@host:port",
        "nats://me:hunter2[@host",
        "nats://ok:4222,nats://me:hunter2@[::1",
        "hunter2@host",
        "hunter2://host",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as error:
        brokers.make(Broker(url=url, stream="s"), "shop")
    shown: BaseException | None = error.value
    assert "outbox.broker.url" in str(shown)
    assert "hunter2" not in f"{shown} {shown!r}"


def test_a_server_never_shows_its_password() -> None:
    server = Server.parse("nats://me:hunter2@host")
    assert "hunter2" not in f"{server} {server!r}"


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"retention": "interest"}, "retention"),
        ({"max_msgs_per_subject": 1}, "max_msgs_per_subject"),
        ({"max_age": 1_000_000_000}, "max_age"),
        ({"storage": "memory"}, "memory"),
        ({"persist_mode": "async"}, "persist_mode"),
    ],
)
def test_a_stream_that_may_drop_events_is_warned_of(config: dict[str, Any], word: str) -> None:
    assert nats.warnings({"num_replicas": 3, "retention": "limits"}) == ()
    (warning,) = nats.warnings({"num_replicas": 3, **config})
    assert word in warning
