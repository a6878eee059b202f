"""What each broker's message looks like to the inbox; messages are hostile."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent.outbox.inbox.message import Message, message
from agent.outbox.inbox.sources import kafka_reader, rabbitmq, redis
from agent.outbox.inbox.sources.redis_group import Id

PLAIN = {
    "specversion": "1.0", "id": "e", "source": "/s", "type": "t", "subject": "grün & 5%", "partitionkey": "grün & 5%",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}  # fmt: skip


def from_kafka(
    headers: list[tuple[str, bytes | None]],
    key: bytes | None = None,
    body: bytes | None = b"{}",
    offset: int = 5,
) -> Message:
    given: Any = SimpleNamespace(
        headers=lambda: headers, key=lambda: key, value=lambda: body, topic=lambda: "a.b"
    )
    return message(kafka_reader.parcel(given, 3, offset))


def from_rabbitmq(headers: dict[str, Any], identity: str | None = None, body: bytes = b"{}") -> Message:
    given: Any = SimpleNamespace(
        headers=headers, message_id=identity, body=body, routing_key="a.b", content_type="application/json"
    )
    return message(rabbitmq.parcel(given, 1, "stock.a.b"))


def from_redis(fields: dict[bytes, bytes]) -> Message:
    flat: list[Any] = [part for pair in fields.items() for part in pair]
    return message(redis.parcel(Id(5, 6), flat, "a.b"))


def test_an_event_is_the_same_from_every_broker() -> None:
    kafka = from_kafka(
        [
            *((f"ce_{name}", value.encode()) for name, value in PLAIN.items()),
            ("content-type", b"application/json"),
        ]
    )
    rabbit = from_rabbitmq({f"cloudEvents_{name}": value for name, value in PLAIN.items()}, "m")
    stream = from_redis(
        {name.encode(): value.encode() for name, value in PLAIN.items()}
        | {b"datacontenttype": b"application/json", b"data": b"{}"}
    )
    for each in (kafka, rabbit, stream):
        assert (each.id, each.source, each.type, each.key) == ("e", "/s", "t", "gr%C3%BCn%20&%205%25")
        assert each.headers["Content-Type"] == "application/json"
        assert each.traceparent == PLAIN["traceparent"]
        assert each.digest == kafka.digest
        assert each.body == b"{}"


def test_kafka_s_key_orders_where_the_event_has_none_and_its_place_names_what_has_no_id() -> None:
    bare = from_kafka([], b"k")
    assert bare.key == "k"
    assert bare.source == "/kafka/a.b"
    assert bare.id.startswith("3-5-")
    assert from_kafka([], b"k", offset=6).id != bare.id
    assert from_kafka([], b"\xff").key
    assert from_kafka([], None).key is None
    assert from_kafka([("ce_id", None), ("ce_type", b"\xff"), ("ce_source", b"/s")], body=None).body == b""


def test_messages_of_rabbitmq_that_are_alike_and_have_no_id_are_two() -> None:
    assert from_rabbitmq({}).digest != from_rabbitmq({}).digest
    assert from_rabbitmq({}, "m").digest == from_rabbitmq({}, "m").digest
    assert from_rabbitmq({}, "ü").id == "%C3%BC"
    assert (
        from_rabbitmq({"cloudEvents:id": "e", "cloudEvents_x": 5, "cloudEvents_y": {}}).headers["ce-x"] == "5"
    )


def test_an_entry_that_is_no_event_is_posted_with_all_its_fields() -> None:
    entry = from_redis({b"name": "Jürgen".encode(), b"raw": b"\xff"})
    assert entry.body == b'{"name": "J\\u00fcrgen", "raw": "\\ufffd"}'
    assert entry.headers["Content-Type"] == "application/json"
    assert entry.id.startswith("5-6-")


@pytest.mark.parametrize("fields", [[b"a"], [b"a", 1], [b"a", None]])
def test_what_is_no_entry_is_none(fields: list[Any]) -> None:
    with pytest.raises(ValueError, match="fields"):
        redis.parcel(Id(1, 1), fields, "k")


@pytest.mark.parametrize("given", [b"1", b"a-b", None, 5, b"1-2-3"])
def test_what_is_no_id_is_none(given: object) -> None:
    with pytest.raises(ValueError, match="id"):
        Id.parse(given)


def test_what_is_before_an_id() -> None:
    assert str(Id(5, 6).before) == "5-5"
    assert str(Id(5, 0).before) == "4-18446744073709551615"
    assert str(Id(0, 0).before) == "0-0"
    assert Id(5, 0).before < Id(5, 0)


def test_a_queue_that_is_made_never_drops_what_is_handed_out_often() -> None:
    assert rabbitmq.arguments(3) == {"x-queue-type": "quorum", "x-single-active-consumer": True}
    assert rabbitmq.arguments(4)["x-delivery-limit"] == -1
