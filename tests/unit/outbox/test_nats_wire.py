"""What comes from the broker's socket, cut anywhere."""

import asyncio
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.brokers.nats import JetStream
from agent.outbox.brokers.nats_wire import Wire
from agent.runtime.errors import Transient
from tests.waiting import until

ACK = b'{"stream":"s","seq":5}'
STREAM = (
    b'INFO {"headers":true}\r\nPONG\r\n'
    + b"MSG _INBOX.x.7 1 %d\r\n%b\r\n" % (len(ACK), ACK)
    + b"PING\r\n"
    + b"HMSG _INBOX.x.8 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    + b"MSG _INBOX.x.9 1 %d\r\n%b\r\n" % (len(ACK), ACK)
)


class Socket(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        pass


class Told:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def acknowledged(self, number: int) -> None:
        self.said.append(number)

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        self.said.append((number, reason))

    def later(self, number: int, reason: str, delay: float = 0.0) -> None:
        self.said.append((number, reason, delay))

    def lost(self, reason: str) -> None:
        self.said.append(reason)


@given(st.lists(st.integers(1, 30), min_size=1))
def test_answers_are_understood_wherever_the_stream_is_cut(sizes: list[int]) -> None:
    async def story() -> None:
        answers: list[tuple[int, bytes, bytes]] = []
        socket = Socket()
        wire = Wire("_INBOX.x", lambda *answer: answers.append(answer), lambda _: None)
        wire.connection_made(socket)
        rest, place = STREAM, 0
        while rest:
            size = sizes[place % len(sizes)]
            wire.data_received(rest[:size])
            rest, place = rest[size:], place + 1
        assert answers == [(7, b"", ACK), (8, b"NATS/1.0 503\r\n\r\n", b""), (9, b"", ACK)]
        assert socket.written == b"PONG\r\n"

    asyncio.run(story())


async def test_a_question_has_its_own_answer_and_leaves_nothing_behind() -> None:
    """What comes after its time is nobody's, also not the answer of the next question."""
    socket, lost = Socket(), list[str]()
    wire = Wire("_INBOX.x", lambda *_: None, lost.append)
    wire.connection_made(socket)

    async def asked(*answers: bytes) -> bytes:
        """Ask, with these answers for the questions up to this one."""
        asking = asyncio.create_task(wire.request("$JS.API.INFO", b"", 60))
        await asyncio.sleep(0)
        for reply, body in zip(
            re.findall(rb"PUB \S+ (\S+) 0", socket.written)[-len(answers) :], answers, strict=True
        ):
            wire.data_received(b"MSG %b 1 %d\r\n%b\r\n" % (reply, len(body), body))
        return await asking

    with pytest.raises(Transient, match="no answer within"):
        await wire.request("$JS.API.INFO", b"", 0.01)
    assert await asked(b"late", b"mine") == b"mine"
    tracemalloc.start()
    try:
        for _ in range(100):
            assert len(await asked(b"x" * 100_000)) == 100_000
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
    assert lost == []


@pytest.mark.parametrize(
    "garbage",
    [b"MSG a 1 x\r\n", b"MSG\r\n", b"INFO {\r\n", b"x" * 70000, b"-ERR 'Authorization Violation'\r\n"],
)
async def test_what_is_not_nats_ends_the_link(garbage: bytes) -> None:
    lost: list[str] = []
    wire = Wire("_INBOX.x", lambda *_: None, lost.append)
    wire.connection_made(Socket())
    wire.data_received(garbage)
    assert len(lost) == 1


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        (b"", b'{"stream":"s","seq":1}', 3),
        (b"", b'{"stream":"s","seq":1,"duplicate":true}', 3),
        (b"", b'{"stream":"other","seq":1}', "not the stream"),
        (b"", b'{"stream":"s"}', "not the stream"),
        (b"", b'{"stream":"s","seq":0}', "not the stream"),
        (b"", b'{"stream":"s","seq":1', "not JetStream"),
        (b"", b'{"stream":"s","seq":1}{"stream":"s","seq":2}', "not JetStream"),
        (b"", b'{"stream":"s","seq":1,"domain":"hub"}', 3),
        (b"", b"thanks", "not JetStream"),
        (b"", b"\xff\xfe", "not JetStream"),
        (b"", b"", "not JetStream"),
        (
            b"",
            b'{"error":{"code":400,"err_code":10054,"description":"message size exceeds\\r\\nmaximum"}}',
            "10054",
        ),
    ],
)
async def test_only_the_streams_own_word_is_an_acknowledgement(head: bytes, body: bytes, said: Any) -> None:
    told = Told()
    JetStream("s", told)._answered(3, head, body)
    if isinstance(said, int):
        assert told.said == [said]
    else:
        ((number, reason),) = told.said
        assert number == 3
        assert said in reason
        assert "\r" not in reason


async def test_an_event_that_no_stream_takes_is_sent_again_and_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stream without a leader for a moment answers like one that is not there: so it is asked."""
    told = Told()
    link = JetStream("s", told)
    asked: list[str] = []

    async def request(subject: str, _body: bytes, _timeout: float) -> bytes:
        asked.append(subject)
        raise Transient("no answer")

    monkeypatch.setattr(link.wire, "request", request)
    link._answered(3, b"NATS/1.0 503\r\n\r\n", b"")
    await until(lambda: told.said)
    ((number, reason, delay),) = told.said
    assert number == 3
    assert "the stream s has no leader just now" in reason
    assert delay > 0
    assert asked == ["$JS.API.STREAM.INFO.s"]
    await link.close()


@pytest.mark.parametrize(
    ("code", "words", "blamed"),
    [
        (10077, "maximum bytes exceeded", False),
        (10077, "maximum messages exceeded", False),
        (10077, "maximum messages per subject exceeded", True),
        (10023, "insufficient resources", False),
        (10047, "insufficient storage resources available", False),
        (10054, "message size exceeds maximum allowed", True),
    ],
)
async def test_a_stream_without_room_is_away_and_no_event_is_to_blame(
    code: int, words: str, blamed: bool
) -> None:
    told = Told()
    body = b'{"error":{"code":503,"err_code":%d,"description":"%b"}}' % (code, words.encode())
    JetStream("s", told)._answered(3, b"", body)
    (said,) = told.said
    assert isinstance(said, tuple) == blamed
    assert words in str(said)
