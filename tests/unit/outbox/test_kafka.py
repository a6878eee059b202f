"""Kafka's URL, headers and warnings; nothing is connected."""

import pytest
from msgspec.structs import replace

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from agent.outbox.brokers import kafka
from agent.outbox.brokers.kafka_headers import Headers
from agent.outbox.brokers.kafka_topics import warnings
from agent.runtime.errors import Misconfigured
from tests.integration.outbox.brokers.carrier import events


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("kafka://one:9092", {"bootstrap.servers": "one:9092", "security.protocol": "PLAINTEXT"}),
        (
            "kafka+ssl://me:p%40ss@one:9092,[::1]:9093?sasl=scram-sha-512",
            {
                "bootstrap.servers": "one:9092,[::1]:9093",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "me",
                "sasl.password": "p@ss",
            },
        ),
    ],
)
def test_a_url_says_how_to_get_to_the_cluster(url: str, config: dict[str, str]) -> None:
    assert kafka.access(url) == config


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka://me:hunter2@",
        "kafka://me:hunter2@one:port",
        "kafka://me:hunter2@one,",
        "kafka://me:hunter2@one/hunter2",
        "kafka://me@one?sasl=hunter2",
        "kafka://me@one?password=hunter2",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as error:
        brokers.make(Broker(url=url), "shop")
    assert "outbox.broker.url" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_headers_are_those_of_the_kafka_binding() -> None:
    (event,) = events("p", 1)
    made, size = Headers().of(replace(event, key="grün", body=b"x"))
    assert size == sum(len(name) + len(value) for name, value in made)
    assert dict(made) == {
        "ce_specversion": b"1.0",
        "ce_id": b"p-1",
        "ce_source": b"/shop",
        "ce_type": b"orders.created",
        "ce_subject": "grün".encode(),
        "ce_partitionkey": "grün".encode(),
        "ce_time": b"2026-01-02T03:04:05Z",
        "ce_sequence": b"000001-00000000000000000001",
        "content-type": b"application/json",
    }


def test_what_an_event_does_not_have_is_no_header_and_each_kind_has_its_own() -> None:
    headers = Headers()
    one, other = events("p", 2)
    for _ in range(2):  # what is remembered of one must not show in the other
        assert dict(headers.of(replace(one, key=None, time="", body=b""))[0]) == {
            "ce_specversion": b"1.0",
            "ce_id": b"p-1",
            "ce_source": b"/shop",
            "ce_type": b"orders.created",
            "ce_sequence": b"000001-00000000000000000001",
        }
        more = dict(headers.of(replace(other, key="", type="x", traceparent="p", tracestate="s"))[0])
        assert (more["ce_partitionkey"], more["ce_traceparent"], more["ce_tracestate"]) == (b"", b"p", b"s")
        assert (more["ce_type"], more["content-type"]) == (b"x", b"application/json")
        assert "ce_subject" not in more


SAFE = {"min.insync.replicas": "2", "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


@pytest.mark.parametrize(
    ("replicas", "config", "word"),
    [
        (2, {}, "replication factor"),
        (3, {"min.insync.replicas": "1"}, "min.insync.replicas"),
        (3, {"unclean.leader.election.enable": "true"}, "unclean.leader.election.enable"),
        (3, {"cleanup.policy": "compact"}, "newest event of a key"),
        (3, {"retention.ms": "604800000"}, "retention.ms"),
    ],
)
def test_a_topic_that_may_lose_events_is_warned_of(replicas: int, config: dict[str, str], word: str) -> None:
    assert warnings({"t": 3}, {"t": SAFE}) == ()
    (warning,) = warnings({"t": replicas}, {"t": {**SAFE, **config}})
    assert word in warning
    assert warning.startswith("t: ")


def test_many_topics_with_one_trouble_are_one_warning() -> None:
    names = [f"t{number}" for number in range(5)]
    (warning,) = warnings(dict.fromkeys(names, 1), dict.fromkeys(names, SAFE))
    assert warning.startswith("t0, t1, t2 and 2 more: ")


def test_a_topic_whose_configuration_is_hidden_is_told() -> None:
    (warning,) = warnings({"t": 3}, {"t": {}})
    assert "DescribeConfigs" in warning
