"""What comes from Redis's socket, cut anywhere."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.outbox.brokers import redis
from agent.outbox.brokers.entries import Encoder
from agent.outbox.brokers.redis_wire import Refusal, Reply, Wire, packed, parse
from agent.outbox.events import Event
from tests.unit.outbox.test_nats_wire import Socket, Told

STREAM = (
    b"$15\r\n1526919030474-0\r\n"
    b"$-1\r\n"
    b"-OOM command not allowed\r\n"
    b"*2\r\n$11\r\nappendfsync\r\n$8\r\nev\r\nry\r\n\r\n"
    b":1\r\n+PONG\r\n"
)
REPLIES: list[Reply] = [
    b"1526919030474-0",
    None,
    Refusal("OOM", b"OOM command not allowed"),
    [b"appendfsync", b"ev\r\nry\r\n"],
    1,
    b"PONG",
]
EVENT = Event(
    row=1, bucket=1, key="grün", topic="shop.orders", id="a-1", source="/shop", type="orders.created",
    time="2026-01-02T03:04:05Z", content="application/json", traceparent="", tracestate="", sequence="1",
    body=b"{}\r\n",
)  # fmt: skip


@given(st.lists(st.integers(1, 30), min_size=1))
def test_replies_are_understood_wherever_the_stream_is_cut(sizes: list[int]) -> None:
    async def story() -> None:
        replies: list[tuple[int, Reply]] = []
        wire = Wire(lambda *reply: replies.append(reply), lambda _: None)
        wire.connection_made(Socket())
        for number in range(6):
            wire.send(number, b"")
        rest, place = STREAM, 0
        while rest:
            size = sizes[place % len(sizes)]
            wire.data_received(rest[:size])
            rest, place = rest[size:], place + 1
        assert replies == list(enumerate(REPLIES))

    asyncio.run(story())


@given(st.binary(max_size=60))
def test_whatever_comes_is_a_reply_a_part_of_one_or_an_error(data: bytes) -> None:
    try:
        _, after = parse(data, 0)
    except ValueError:
        return
    assert -1 <= after <= len(data)


@pytest.mark.parametrize(
    "garbage",
    [
        b"$x\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"*1\r\n" * 9,
        b"*9999\r\n",
        b"x" * 3000000,
        b"+one\r\n+two\r\n",
    ],
)
async def test_what_is_not_redis_ends_the_link(garbage: bytes) -> None:
    lost: list[str] = []
    wire = Wire(lambda *_: None, lost.append)
    wire.connection_made(Socket())
    wire.send(0, b"")
    wire.data_received(garbage)
    assert len(lost) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"1526919030474-0", 3),
        (b"OK", "something else"),
        (None, "no stream of its topic"),
        (Refusal("WRONGTYPE", b"WRONGTYPE hunter2"), "no stream (WRONGTYPE)"),
        (Refusal("NOPERM", b"NOPERM hunter2 has no permissions to access the 'x' key"), "its topic"),
        (Refusal("ERR", b"ERR unknown command, with args beginning with hunter2"), "(ERR)"),
    ],
)
async def test_only_an_entrys_id_is_an_acknowledgement(reply: Reply, said: Any) -> None:
    told = Told()
    redis.Streams(told, Encoder(create=True), 1.0)._answered(3, reply)
    if isinstance(said, int):
        assert told.said == [said]
    else:
        ((number, reason),) = told.said
        assert number == 3
        assert said in reason
        assert "hunter2" not in reason


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"OOM command not allowed when used memory > 'maxmemory'.", "memory is full"),
        (b"READONLY You can't write against a read only replica.", "name its primary"),
        (b"LOADING Redis is loading the dataset in memory", "loading"),
        (b"MASTERDOWN Link with MASTER is down", "primary is away"),
        (b"MOVED 3999 127.0.0.1:6381", "Cluster, which is not supported"),
        (b"NOAUTH Authentication required.", "outbox.broker.url"),
        (b"NOPERM User x has no permissions to run the 'xadd' command", "no right to XADD"),
        (b"MISCONF Errors writing to the AOF file: No space left on device", "its disk"),
        (b"WHATEVER hunter2", "WHATEVER"),
    ],
)
async def test_what_may_pass_loses_the_link_and_refuses_no_event(words: bytes, said: str) -> None:
    told = Told()
    link = redis.Streams(told, Encoder(create=True), 1.0)
    link._answered(3, Refusal(words.partition(b" ")[0].decode(), words))
    (reason,) = told.said
    assert said in reason
    assert "hunter2" not in reason


@given(
    st.builds(
        replace, st.just(EVENT), key=st.none() | st.text(max_size=9), time=st.sampled_from(["", "t"]),
        body=st.binary(max_size=9), traceparent=st.sampled_from(["", "p"]), tracestate=st.sampled_from(["", "s"]),
        topic=st.text(max_size=9),
    )
)  # fmt: skip
def test_a_command_has_as_many_words_as_it_says(event: Event) -> None:
    encoder = Encoder(create=False)
    for _ in range(2):
        words, after = parse(encoder.command(event), 0)
        assert isinstance(words, list)
        assert after == len(encoder.command(event))
        assert words[:4] == [b"XADD", event.topic.encode(errors="replace"), b"NOMKSTREAM", b"*"]
        fields = dict(zip(words[4::2], words[5::2], strict=True))
        assert fields.get(b"data", b"") == event.body
        assert fields[b"id"] == b"a-1"
        assert (b"partitionkey" in fields) == (event.key is not None)
        assert (b"subject" in fields) == bool(event.key)


def test_a_command_is_written_as_redis_reads_it() -> None:
    assert packed(b"GET", b"") == b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n"


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hunter2@host/x",
        "redis://hunter2@host",
        "redis://me:hunter2@host:port",
        "redis://me:hunter2@[::1",
        "redis://me:hunter2@host?protocol=3",
        "rediss://:hunter2@",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - any text but one with the password
        redis.Server.parse(url)
    assert "hunter2" not in str(error.value)


def test_a_server_never_shows_its_password() -> None:
    server = redis.Server.parse("rediss://:hunter2%40@host/3")
    assert server.credentials == ("hunter2@",)
    assert (server.host, server.port, server.tls, server.database) == ("host", 6379, True, 3)
    assert "hunter2" not in f"{server} {server!r}"


GOOD = {
    "aof_enabled": "1",
    "appendfsync": "always",
    "maxmemory_policy": "noeviction",
    "online": "1",
}


@pytest.mark.parametrize(
    ("fact", "word"),
    [
        ({"aof_enabled": "0"}, "appendonly yes"),
        ({"appendfsync": "everysec"}, "appendfsync always"),
        ({"maxmemory": "1000", "maxmemory_policy": "allkeys-lru"}, "noeviction"),
        ({"online": "0"}, "replica"),
    ],
)
def test_a_redis_that_may_lose_events_is_warned_of(fact: dict[str, str], word: str) -> None:
    assert redis.warnings(GOOD, replicas=1) == ()
    (warning,) = redis.warnings({**GOOD, **fact}, replicas=1)
    assert word in warning


def test_replicas_that_are_not_waited_for_are_warned_of() -> None:
    (warning,) = redis.warnings(GOOD)
    assert "outbox.broker.replicas" in warning


def test_a_redis_that_may_not_be_looked_at_is_warned_of() -> None:
    assert "can't be looked at" in redis.warnings({})[0]


def test_the_smallest_of_the_servers_limits_counts() -> None:
    assert redis.largest({}) < 64 * 1048576
    assert redis.largest({"proto-max-bulk-len": "2097152"}) == 2097152 - 65536
    assert redis.largest({"proto-max-bulk-len": "536870912", "client-query-buffer-limit": "1"}) == 983040
