"""Receivers of webhooks that are slow, rude, broken or overloaded."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from agent.outbox.brokers import Link, exchange
from agent.outbox.brokers.http import STREAK
from agent.runtime.errors import Transient
from tests.integration.outbox.brokers.carrier import events
from tests.integration.outbox.brokers.scripted import CUT, TAKEN, Receiver, Request, Script, Told, serving
from tests.waiting import until

KEY = b"correct-hunter2-battery-staple"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@asynccontextmanager
async def linked(script: Script, **settings: Any) -> AsyncIterator[tuple[Receiver, Told, Link]]:
    """A link to a receiver of this script, and what it is told."""
    async with Receiver(script).running() as receiver:
        broker = brokers.make(Broker(**{"url": receiver.url, **settings}), "shop")
        told = Told()
        async with broker.link(told, frozenset()) as link:
            yield receiver, told, link


def send(link: Link, count: int) -> None:
    for number, event in enumerate(events("p", count, count)):
        link.send(number, event)


def is_second(request: Request) -> bool:
    return request.id == "p-2"


async def test_one_that_is_not_answered_is_postponed_while_the_others_get_through() -> None:
    async def script(request: Request) -> bytes:
        if is_second(request):
            await asyncio.Event().wait()
        return TAKEN

    async with linked(script, timeout=1.0) as (_, told, link):
        send(link, 2)
        numbers = itertools.count(2)

        def postponed() -> bool:
            # The others get through meanwhile: else it would be the receiver that is silent.
            link.send(next(numbers), events("q", 1)[0])
            return 1 in told.postponed

        await until(postponed)
        assert told.done
        assert "no answer within 1 s" in told.postponed[1][0]
        assert told.losses == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20" + CUT,
        b"HTTP/1.1 204 No Content\r\nX: y\r\n" + CUT,
        b"hello\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000 + CUT,
    ],
)
async def test_one_whose_answer_is_cut_or_none_is_postponed_and_the_others_go_on(answer: bytes) -> None:
    async with linked(lambda request: answer if is_second(request) else TAKEN) as (_, told, link):
        send(link, 10)
        await until(lambda: told.count == 10)
    assert list(told.postponed) == [1]
    assert sorted(told.done) == [0, *range(2, 10)]
    assert told.losses == []


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end" + CUT, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut" + CUT, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 3000000, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff0000\r\n" + b"x" * 3000000, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", False),
        (TAKEN + TAKEN, False),
    ],
)
async def test_a_status_of_2xx_counts_however_its_body_ends(answer: bytes, kept: bool) -> None:
    async with linked(lambda _: answer, connections=1) as (receiver, told, link):
        for number, event in enumerate(events("p", 3)):
            link.send(number, event)
            await until(lambda number=number: number in told.done)
        assert told.count == 3
        assert told.losses == []
        assert (len({each.connection for each in receiver.requests}) == 1) == kept
        assert len(receiver.requests) == 3


async def test_a_receiver_that_asks_to_wait_is_given_the_time() -> None:
    def script(request: Request) -> bytes:
        if is_second(request):
            return b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
        return TAKEN

    async with linked(script) as (_, told, link):
        send(link, 10)
        await until(lambda: told.count == 10)
    assert told.postponed == {1: ("the receiver answers 429", 7.0)}


@pytest.mark.parametrize("status", [408, 404, 409, 425, 429, 500, 503, 302, 403, 415, 431])
async def test_what_may_pass_is_postponed(status: int) -> None:
    answer = b"HTTP/1.1 %d Hunter\r\nLocation: /elsewhere\r\nContent-Length: 7\r\n\r\nhunter2" % status
    async with linked(lambda request: answer if is_second(request) else TAKEN) as (receiver, told, link):
        send(link, 5)
        await until(lambda: told.count == 5)
        assert {each.path for each in receiver.requests} == {"/events"}
    ((number, (reason, _)),) = told.postponed.items()
    assert number == 1
    assert str(status) in reason
    assert "unter" not in reason


@pytest.mark.parametrize("status", [400, 410, 413, 422])
async def test_what_means_the_event_is_refused(status: int) -> None:
    answer = b"HTTP/1.1 %d Hunter\r\nContent-Length: 7\r\n\r\nhunter2" % status
    async with linked(lambda request: answer if is_second(request) else TAKEN) as (_, told, link):
        send(link, 5)
        await until(lambda: told.count == 5)
    assert told.refusals == {1: f"the receiver answers {status}"}
    assert told.misplaced == ({1} if status == 410 else set())


async def test_a_receiver_that_takes_nothing_is_away_and_left_alone_as_it_asks() -> None:
    answer = b"HTTP/1.1 503 Down\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"
    async with Receiver(lambda _: answer).running() as receiver:
        broker = brokers.make(Broker(url=receiver.url, connections=8), "shop")
        told = Told()
        async with broker.link(told, frozenset()) as link:
            send(link, 200)
            await until(lambda: told.losses)
        assert len(told.postponed) == STREAK - 1
        assert "503" in told.losses[0]
        assert len(receiver.requests) < STREAK + 8
        with pytest.raises(Transient) as error:
            async with broker.link(told, frozenset()):
                pass
        assert error.value.delay is not None
        assert 50 < error.value.delay <= 60


async def test_single_failures_amid_successes_never_lose_the_link() -> None:
    failed: set[str] = set()

    def script(request: Request) -> bytes:
        if int(request.id[2:]) % 3 == 0 and request.id not in failed:
            failed.add(request.id)
            return b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
        return TAKEN

    async with linked(script) as (_, told, link):
        send(link, 300)
        await until(lambda: told.count == 300)
    assert len(told.postponed) == 100
    assert told.losses == []


async def test_a_kept_connection_that_the_receiver_ends_costs_nothing() -> None:
    async with linked(lambda _: TAKEN, connections=1) as (receiver, told, link):
        first, second, third = events("p", 3)
        link.send(0, first)
        await until(lambda: told.count == 1)
        receiver.cut()
        link.send(1, second)
        await until(lambda: told.count == 2)
        link.send(2, third)
        await until(lambda: told.count == 3)
    assert (told.done, told.losses) == ([0, 1, 2], [])


async def test_a_kept_connection_that_ends_with_a_request_on_its_way_is_replaced_once() -> None:
    seen: list[str] = []

    def script(request: Request) -> bytes:
        seen.append(request.id)
        return b"" if request.id == "p-2" else TAKEN

    async with linked(script, connections=1) as (_, told, link):
        for number, event in enumerate(events("p", 3)):
            link.send(number, event)
            await until(lambda number=number: told.count == number + 1)
    assert seen == ["p-1", "p-2", "p-2", "p-3"]
    assert list(told.postponed) == [1]
    assert told.done == [0, 2]


async def test_no_more_connections_are_made_than_the_settings_allow() -> None:
    gate = asyncio.Event()

    async def script(_: Request) -> bytes:
        await gate.wait()
        return TAKEN

    async with linked(script, connections=5) as (receiver, told, link):
        send(link, 40)
        await until(lambda: len(receiver.requests) == 5)
        gate.set()
        await until(lambda: told.count == 40)
        assert receiver.most == 5


async def test_a_request_carries_a_signature_that_a_receiver_can_check() -> None:
    async with linked(lambda _: TAKEN, secret=SECRET) as (receiver, told, link):
        send(link, 1)
        await until(lambda: told.count)
        (request,) = receiver.requests
    identity, sent = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert "." not in identity
    assert request.headers["idempotency-key"] == identity
    assert abs(int(sent) - time.time()) < 60
    signed = f"{identity}.{sent}.".encode() + request.body
    right = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{right}"


async def test_a_secret_that_is_replaced_in_its_file_signs_without_a_new_link(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    async with linked(lambda _: TAKEN, secret=SECRET, secret_file=str(file)) as (receiver, told, link):
        other = "whsec_" + base64.b64encode(b"o" * 32).decode()
        (tmp_path / "new").write_text(f"{other} {SECRET}")
        (tmp_path / "new").replace(file)

        def both() -> bool:
            link.send(told.count, events("p", 1)[0])
            return any(each.headers["webhook-signature"].count("v1,") == 2 for each in receiver.requests)

        await until(both, within=30, every=0.2)


async def test_an_answer_that_nobody_asked_for_ends_its_connection_only() -> None:
    async def script(_: Request) -> bytes:
        return TAKEN + b"HTTP/1.1 500 Oh\r\n\r\n"

    async with linked(script) as (_, told, link):
        send(link, 50)
        await until(lambda: told.count == 50)
    assert len(told.done) == 50


async def test_a_large_body_waits_for_the_receivers_word_and_a_refusal_of_it_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "_PATIENCE", 60.0)  # not to be over before a busy machine reads the word
    large = events("p", 1, size=8 * 1048576)[0]
    told = Told()
    closed = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Expect: 100-continue" in head:
            # As many receivers do: the answer, and the connection ended with the body unread.
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            closed.set()
        else:
            writer.write(TAKEN)

    async with serving(refuse) as port:
        broker = brokers.make(Broker(url=f"http://127.0.0.1:{port}/"), "shop")
        async with broker.link(told, frozenset()) as link:
            link.send(0, large)
            await until(lambda: told.count)
    assert told.refusals == {0: "the receiver answers 413"}
    assert closed.is_set()


@pytest.mark.parametrize("word", [b"HTTP/1.1 100 Continue\r\n\r\n", b""])
async def test_a_large_body_comes_whole_whether_the_receiver_says_that_it_wants_it(word: bytes) -> None:
    sent = events("p", 3, 3, size=2 * 1048576)
    got: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
            if length:
                writer.write(word)
                got.append(await reader.readexactly(length))
            writer.write(TAKEN)

    told = Told()
    async with serving(take) as port:
        broker = brokers.make(Broker(url=f"http://127.0.0.1:{port}/", connections=1), "shop")
        async with broker.link(told, frozenset()) as link:
            for number, event in enumerate(sent):
                link.send(number, event)
            await until(lambda: told.count == 3, within=20)
    assert told.done == [0, 1, 2]
    assert got == [each.body for each in sent]
