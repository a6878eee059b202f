"""Redis on the wire, as far as publishing needs it: commands out, their replies back in the same order.

A client library costs several times the processor time a command. Source: Redis documentation,
"Redis serialization protocol specification" (RESP2).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.outbox.brokers.connection import Connection, opening
from agent.runtime.errors import Transient


@dataclass(frozen=True)
class Refusal:
    """An error reply. The server's words may hold what was sent to it, so they are shown nowhere."""

    code: str
    """Its first word, such as ``OOM``."""
    words: bytes = field(repr=False)


Reply: TypeAlias = "bytes | int | Refusal | list[Reply] | None"

_LONGEST = 1048576
"""Bytes of a reply; the longest that is asked for is INFO's, of some kilobytes."""
_DEEPEST = 4


def packed(*words: bytes) -> bytes:
    """A command."""
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


def parse(buffer: bytes, at: int, depth: int = 0) -> tuple[Reply, int]:
    """The reply that begins at ``at`` and where the next begins, -1 while it is not whole; raises ValueError
    for what is none."""
    end = buffer.find(b"\r\n", at)
    if end < 0:
        return None, -1
    sign, line = buffer[at : at + 1], buffer[at + 1 : end]
    if sign == b"$":
        return _bulk(buffer, int(line), end + 2)
    if sign == b":":
        return int(line), end + 2
    if sign == b"+":
        return line, end + 2
    if sign == b"-":
        word = line.partition(b" ")[0].decode("ascii", "replace")
        return Refusal(word if word.isalnum() and len(word) < 30 else "ERR", line), end + 2
    if sign == b"*" and depth < _DEEPEST:
        return _array(buffer, int(line), end + 2, depth)
    raise ValueError("no reply")


def _bulk(buffer: bytes, size: int, start: int) -> tuple[Reply, int]:
    if size < 0:
        return None, start
    if size > _LONGEST:
        raise ValueError("a reply that is too long")
    if len(buffer) < start + size + 2:
        return None, -1
    return buffer[start : start + size], start + size + 2


def _array(buffer: bytes, count: int, start: int, depth: int) -> tuple[Reply, int]:
    if count > 1024:
        raise ValueError("a reply that is too long")
    found: list[Reply] = []
    for _ in range(count):
        reply, start = parse(buffer, start, depth + 1)
        if start < 0:
            return None, -1
        found.append(reply)
    return found, start


class Wire(Connection):
    """One connection. Everything that is sent in one turn of the loop leaves in one write."""

    def __init__(self, answer: Callable[[int, Reply], None], lost: Callable[[str], None]) -> None:
        """``answer`` is told the reply to each ``send`` under its number, ``lost`` the end, once."""
        super().__init__()
        self._answer = answer
        self._lost = lost
        self._buffer = b""
        self._waiting: deque[int | asyncio.Future[Reply]] = deque()

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        """Connect, with TLS where a context is given; raises Transient or Permanent."""
        doing = f"connecting to Redis at {host}:{port}"
        with opening(doing):
            await self._loop.create_connection(lambda: self, host, port, ssl=context)

    async def ask(self, *words: str) -> Reply:
        """The reply to a command; raises Transient when the connection ends before."""
        reply: asyncio.Future[Reply] = self._loop.create_future()
        if self._closed:
            raise Transient("asking Redis: the connection ended")
        self._put(reply, packed(*(word.encode() for word in words)))
        return await reply

    def send(self, number: int, command: bytes) -> None:
        """Send a packed command; the reply goes to ``answer``."""
        self._put(number, command)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, once."""
        self._fail(f"the connection ended{f': {exc}' if exc else ''}")

    def data_received(self, data: bytes) -> None:
        """Take in what the server says, whole replies at a time."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        try:
            while not self._closed:
                reply, after = parse(buffer, at)
                if after < 0:
                    break
                at = after
                self._settle(reply)
        except ValueError:
            self._fail("the server sent what is not Redis")
        self._buffer = buffer[at:]
        if len(self._buffer) > 2 * _LONGEST:
            self._fail("the server sent what is not Redis")

    def _settle(self, reply: Reply) -> None:
        if not self._waiting:
            self._fail("the server answered what it was not asked")
            return
        first = self._waiting.popleft()
        if isinstance(first, int):
            self._answer(first, reply)
        elif not first.done():
            first.set_result(reply)

    def _put(self, waiting: int | asyncio.Future[Reply], command: bytes) -> None:
        self._waiting.append(waiting)
        self._soon(command)

    def _fail(self, reason: str) -> None:
        if self._closed:
            return
        self.close()
        for waiting in self._waiting:
            if isinstance(waiting, asyncio.Future) and not waiting.done():
                waiting.set_exception(Transient(f"asking Redis: {reason}"))
                waiting.exception()
        self._lost(reason)
