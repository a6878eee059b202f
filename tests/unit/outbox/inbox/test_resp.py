"""What Redis says is read as it is, and what is no reply ends the connection."""

import asyncio
from typing import Any

import pytest

from agent.outbox.brokers.redis_wire import Refusal
from agent.outbox.inbox.sources import resp
from agent.runtime.errors import Permanent, Transient


class Writer:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        """At once."""


def connection(*said: bytes) -> tuple[resp.Asking, Writer]:
    reader, writer = asyncio.StreamReader(), Writer()
    for each in said:
        reader.feed_data(each)
    reader.feed_eof()
    given: Any = writer
    return resp.Asking("reading", reader, given), writer


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-5\r\n", -5),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
        (
            b"*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n",
            [[b"k", [[b"1-1", [b"a", b""]]]]],
        ),
    ],
)
async def test_a_reply_is_read_whole(said: bytes, reply: object) -> None:
    asking, writer = connection(said)
    assert await asking.ask("XINFO", "GROUPS", "ü") == reply
    assert writer.written == b"*3\r\n$5\r\nXINFO\r\n$6\r\nGROUPS\r\n$2\r\n\xc3\xbc\r\n"


@pytest.mark.parametrize(
    "said", [b"hello\r\n", b"$x\r\n", b"$99999999999\r\n", b"*9999999\r\n", b"*1\r\n" * 9, b":1", b"$5\r\nab"]
)
async def test_what_is_no_reply_ends_the_connection(said: bytes) -> None:
    asking, _ = connection(said)
    for _ in range(2):
        with pytest.raises(Transient, match="the connection ended"):
            await asking.ask("PING")


async def test_a_question_that_was_given_up_leaves_no_answer_for_the_next_one() -> None:
    reader, given = asyncio.StreamReader(), Writer()
    writer: Any = given
    asking = resp.Asking("reading", reader, writer)
    task = asyncio.create_task(asking.ask("PING"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    reader.feed_data(b"+PONG\r\n")
    with pytest.raises(Transient, match="amid an answer"):
        await asking.ask("PING")


async def test_a_refusal_is_told_by_its_code_alone() -> None:
    asking, _ = connection(b"-WRONGPASS invalid secret\r\n", b"-LOADING secret\r\n", b"-ERR DB index\r\n")
    with pytest.raises(Permanent, match=r"inbox\.broker\.url") as wrong:
        await asking.must("AUTH", "secret")
    with pytest.raises(Transient, match="LOADING") as loading:
        await asking.must("PING")
    assert "secret" not in f"{wrong.value}{loading.value}"
    reply = await asking.ask("SELECT", "99")
    assert isinstance(reply, Refusal)
    assert "number" in str(resp.refused("x", reply))
