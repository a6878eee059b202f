"""What comes from a receiver's socket, cut anywhere."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.brokers.exchange import Answer, Chunks, Exchange, parse, wait
from tests.unit.outbox.test_nats_wire import Socket

ANSWERS = [
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\ncontent-LENGTH:  11 \r\n\r\nHTTP/1.1 50",
    b"HTTP/1.1 500 Oh no\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhe\r\nl\r\nA;x\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
]
STATUSES = [204, 200, 500, 429]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_answers_are_understood_wherever_the_stream_is_cut(sizes: list[int]) -> None:
    async def story() -> None:
        told: list[Any] = []
        exchange = Exchange(
            lambda _, answer: told.append(answer.status),
            lambda _: told.append("free"),
            lambda _, reason: told.append(reason),
        )
        exchange.connection_made(Socket())
        place = 0
        for answer in ANSWERS:
            exchange.ask(b"")
            rest = answer
            while rest:
                size = sizes[place % len(sizes)]
                exchange.data_received(rest[:size])
                rest, place = rest[size:], place + 1
        assert told == [each for status in STATUSES for each in (status, "free")]

    asyncio.run(story())


@given(st.lists(st.binary(max_size=40), max_size=9))
def test_whatever_comes_ends_the_exchange_or_is_an_answer(parts: list[bytes]) -> None:
    async def story() -> None:
        ended: list[str] = []
        exchange = Exchange(lambda *_: None, lambda _: None, lambda _, reason: ended.append(reason))
        exchange.connection_made(Socket())
        exchange.ask(b"")
        for part in parts:
            exchange.data_received(part)
        exchange.connection_lost(None)
        assert len(ended) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 2000 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
    ],
)
def test_a_head_that_is_none_is_an_error(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(head)


def test_a_body_that_could_end_in_two_ways_is_not_followed_by_another_answer() -> None:
    head = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert not head.keeps
    assert head.answer == Answer(200)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999999", 3600.0),
        ("", 0.0),
        ("-1", 0.0),
        ("soon", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 8.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:00:00 GMT", 0.0),
    ],
)
def test_the_time_to_wait_is_read_in_both_forms_and_bounded(value: str, seconds: float) -> None:
    assert wait(value, 1445412472.0) == seconds


@pytest.mark.parametrize("body", [b"x\r\n", b"-1\r\n", b"\r\n", b"1\r\nab", b"0" * 70000])
def test_chunks_that_are_none_are_an_error_or_wait(body: bytes) -> None:
    chunks = Chunks()
    if body == b"1\r\nab":
        assert chunks.end(body) == (5, False)
        return
    with pytest.raises(ValueError, match="chunk"):
        chunks.end(body)
