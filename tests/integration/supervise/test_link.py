"""The supervisor's end of the socket never blocks and survives whatever comes."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.supervise.link import Link


class Pair:
    """A link and its other end."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        self.taken: list[Any] = []
        self.link = Link(ours, lambda _, message: self.taken.append(message))

    def close(self) -> None:
        self.link.close()
        self.other.close()

    def read(self) -> bytes:
        """All that the link sends until it has nothing left."""
        self.other.settimeout(60)
        data = b""
        while self.link.wants_to_send or not data.endswith(b"\n"):
            self.link.flush()
            data += self.other.recv(1 << 20)
        return data


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = Pair()
    yield one
    one.close()


def test_an_agent_that_does_not_read_blocks_nothing_and_misses_nothing(pair: Pair) -> None:
    for number in range(2000):
        pair.link.send({"number": number, "padding": "x" * 1000})
    assert pair.link.wants_to_send
    assert pair.link.open
    lines = pair.read().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(2000))
    assert not pair.link.wants_to_send


@given(st.lists(st.integers(1, 40), max_size=20))
def test_messages_arrive_whole_however_they_are_cut(cuts: list[int]) -> None:
    with contextlib.closing(Pair()) as pair:
        _cut(pair, cuts)
    assert pair.taken == [{"a": 1}, {"b": "\n"}, {"c": {}}]


def _cut(pair: Pair, cuts: list[int]) -> None:
    stream = b'{"a": 1}\nnonsense\n[2]\n{"b": "\\n"}\n{"c": {}}\n'
    for cut in [*cuts, len(stream)]:
        piece, stream = stream[:cut], stream[cut:]
        if piece:
            pair.other.sendall(piece)
            pair.link.receive()


def test_the_end_of_the_stream_closes_the_link_and_sending_then_does_nothing(pair: Pair) -> None:
    pair.other.close()
    pair.link.receive()
    assert not pair.link.open
    pair.link.send({"a": 1})


def test_a_reader_that_has_gone_closes_the_link(pair: Pair) -> None:
    pair.other.close()
    pair.link.send({"a": 1})
    assert not pair.link.open


def test_a_request_as_large_as_linux_allows_for_a_program_is_taken(pair: Pair) -> None:
    message = {"env": {"X": "y" * (6 << 20)}}
    data = json.dumps(message).encode() + b"\n"
    pair.other.setblocking(False)
    while data or not pair.taken:
        try:
            data = data[pair.other.send(data) :] if data else data
        except BlockingIOError:
            pass
        pair.link.receive()
    assert pair.taken == [message]
