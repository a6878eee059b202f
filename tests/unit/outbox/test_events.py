"""Rows are hostile until they are events."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.sections.outbox import Changes, Outbox, Table
from agent.outbox import events, feeds
from agent.outbox.brokers import nats, nats_wire
from agent.outbox.brokers.nats import JetStream
from agent.runtime.errors import Misconfigured

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def maker(topic: str = "outbox.event.{aggregatetype}") -> events.Maker:
    (feed,) = feeds.feeds(Outbox(tables=(Table(table="ob", preset="debezium", topic=topic),)))
    return events.Maker("shop", feed, "application/json", 1)


def row(**more: Any) -> dict[str, Any]:
    return {
        "id": 7, "bucket": 3, "event": None, "origin": "public.ob", "key": "k", "kind": "order",
        "type": "made",
        "body": b"{}", "size": 2, "traceparent": None, "tracestate": None, "created": None, **more,
    }  # fmt: skip


def test_the_attributes_are_those_of_the_row() -> None:
    event = maker().event(row(event="e-1", traceparent=PARENT, tracestate="a%3Db"))
    assert (event.topic, event.id, event.source, event.type) == ("outbox.event.order", "e-1", "/shop", "made")
    assert (event.traceparent, event.tracestate) == (PARENT, "a=b")
    assert event.sequence == "000001-00000000000000000007"


def test_a_number_alone_is_never_the_id() -> None:
    """After a crash that lost asynchronous commits a sequence gives the same number to other content."""
    one, same, other = (maker().event(row(body=body)) for body in (b"1", b"1", b"2"))
    assert one.id == same.id != other.id
    assert one.id.startswith("public.ob-7-")


def test_after_a_restore_a_row_that_the_backup_held_keeps_its_id_and_a_new_one_has_one_of_its_own() -> None:
    """What was published after the backup may have had the new row's number, and the same content."""
    before = maker()
    once, twice = replace(before, adopted=(6,)), replace(before, adopted=(6, 6))
    kept = replace(before, adopted=(7,))
    assert kept.event(row()).id == before.event(row()).id
    assert len({each.event(row()).id for each in (before, once, twice)}) == 3
    assert once.event(row(event="e-1")).id == "e-1"


@pytest.mark.parametrize(
    "kind", ["", "a b", "a*", "a>", ">", "a..b", ".a", "a.", "a\r\nPUB x 1", "a\tb", "a\0", "x" * 600, None]
)
def test_a_topic_that_is_none_is_refused(kind: str | None) -> None:
    with pytest.raises(events.RefusedError):
        maker().event(row(kind=kind))


@pytest.mark.parametrize("kind", ["$JS.API.STREAM.DELETE.x", "$SYS.x", "_INBOX.x"])
def test_a_row_cannot_speak_to_the_broker_itself(kind: str) -> None:
    with pytest.raises(events.RefusedError, match="the broker's own"):
        maker("{aggregatetype}").event(row(kind=kind))


def test_a_topic_cannot_reach_into_objects() -> None:
    with pytest.raises(events.RefusedError):
        maker("{aggregatetype.__class__}").event(row())


def test_a_body_that_was_not_fetched_is_refused_with_its_size() -> None:
    with pytest.raises(events.RefusedError, match="5000000 bytes"):
        maker().event(row(body=None, size=5_000_000))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        PARENT.upper(),
        PARENT + "\r\nX: y",
        "ff" + PARENT[2:],
        PARENT + "-x",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
    ],
)
def test_a_wrong_trace_is_dropped(value: str) -> None:
    assert events.trace(value, "a=b") == ("", "")


def test_a_wrong_trace_state_is_dropped_alone() -> None:
    assert events.trace(PARENT, "a%0D%0Ab") == (PARENT, "")


@given(st.text(), st.text(), st.text(), st.text())
def test_no_value_of_a_row_ends_a_header(key: str, kind: str, identity: str, state: str) -> None:
    link = JetStream.__new__(JetStream)
    link._stream, link._inbox, link._known = "s", "_INBOX.x", {}
    try:
        event = maker("x.{table}").event(
            row(key=key, type=kind, event=identity, traceparent=PARENT, tracestate=state)
        )
    except events.RefusedError:
        return
    head = link._head(link._common(event)[1], event)
    lines = head.decode("ascii").split("\r\n")
    assert lines[0] == "NATS/1.0"
    assert lines[-2:] == ["", ""]
    names = [line.partition(":")[0] for line in lines[1:-2]]
    assert set(names) <= {
        "Nats-Msg-Id", "Nats-Expected-Stream", "ce-specversion", "ce-id", "ce-source", "ce-type",
        "ce-sequence", "ce-datacontenttype", "Content-Type", "ce-subject", "ce-partitionkey",
        "ce-traceparent",
        "ce-tracestate",
    }  # fmt: skip
    assert len(names) == len(set(names))
    assert head.count(b"\n") == head.count(b"\r\n")


def test_a_topic_is_spread_by_bucket_and_so_by_key() -> None:
    spread = replace(maker("t.{table}"), partitions=4)
    assert [spread.event(row(bucket=bucket)).topic for bucket in (0, 3, 4, 63)] == [
        "t.ob.0",
        "t.ob.3",
        "t.ob.0",
        "t.ob.3",
    ]


def test_patterns_of_spread_topics_cover_their_parts() -> None:
    settings = Outbox(tables=(Table(table="ob", preset="debezium"),), changes=(Changes(table="orders"),))
    found = [events.patterns(feed, "shop", 8) for feed in feeds.feeds(settings)]
    assert found == [{"outbox.event.>"}, {"shop.orders.*"}]


def test_patterns_cover_every_topic_that_is_sent() -> None:
    settings = Outbox(
        tables=(Table(table="ob", preset="debezium"), Table(table="x", topic="a.{aggregatetype}.b")),
        changes=(Changes(table="orders"), Changes(table="s.t", topic="t.{table}")),
    )
    found = [events.patterns(feed, "shop") for feed in feeds.feeds(settings)]
    assert found == [{"outbox.event.>"}, {"a.*.b"}, {"shop.orders", "t.t"}]


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a.>", "a.b", True), ("a.>", "a.*.c", True), ("a.>", "a", False), (">", "a.>", True),
        ("a.*", "a.b", True),
        ("a.*", "a.>", False), ("a.*", "a.b.c", False), ("a.b", "a.*", False),
        ("a.b", "a.b", True), ("a.b.c", "a.b", False),
    ],
)  # fmt: skip
def test_a_pattern_covers_another(wide: str, narrow: str, expected: bool) -> None:
    assert nats.covers(wide, narrow) is expected


def test_all_that_is_wrong_with_the_settings_is_said() -> None:
    settings = Outbox(
        tables=(
            Table(table="a.b.c"),
            Table(table="pillion.x"),
            Table(table="o", columns={"nope": "x"}),
            Table(table="o"),
        ),
        changes=(Changes(table="t", include=("a",), exclude=("b",), types={"upsert": "x"}, operations=()),),
    )
    with pytest.raises(Misconfigured) as error:
        feeds.feeds(settings)
    text = str(error.value)
    for word in ("'a.b.c'", "own schema", "nope", "twice", "beside include", "upsert", "is empty"):
        assert word in text


@pytest.mark.parametrize("url", ["http://x", "nats://", "nats://u:secret@h:99999", "nats://u:secret@:1"])
def test_a_wrong_server_is_said_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"nats://|port") as error:
        nats_wire.Server.parse(url)
    assert "secret" not in str(error.value)


def test_credentials_of_a_url_are_decoded_and_never_shown() -> None:
    server = nats_wire.Server.parse("tls://us%40er:p%2Fw@h:1")
    assert dict(server.credentials) == {"user": "us@er", "pass": "p/w"}
    assert (str(server), server.tls) == ("h:1", True)
    assert dict(nats_wire.Server.parse("nats://token@h").credentials) == {"auth_token": "token"}
