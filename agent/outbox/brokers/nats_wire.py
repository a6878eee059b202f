"""NATS on the wire, as far as publishing needs it: CONNECT, SUB, HPUB, and the acknowledgements that come
back.

A client library costs ten times the processor time a message (measured). Source: NATS documentation,
"Client Protocol".
"""

import asyncio
import itertools
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from agent.outbox.brokers.connection import Connection, opening
from agent.runtime.errors import Permanent, Transient

Answer = Callable[[int, bytes, bytes], None]
"""Called with a message's number, the answer's headers (empty without) and its body."""

_LONGEST_LINE = 65536
_FIRST_REQUEST = 2**62


@dataclass(frozen=True)
class Server:
    """One server of a URL, with what is said to it; the secrets never appear in a text."""

    host: str
    port: int
    tls: bool
    credentials: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Read ``nats://[user:password@|token@]host[:port]`` or the same with ``tls``; raises ValueError
        without the URL."""
        try:
            parts = urlsplit(url)
        except ValueError:
            # The library's words hold what stands before the host, and with it the password.
            raise ValueError("is no URL that can be read") from None
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise ValueError("is not nats://HOST:PORT or tls://HOST:PORT")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        given = {"user": user, "pass": password} if password else {"auth_token": user} if user else {}
        try:
            port = parts.port or 4222
        except ValueError:
            raise ValueError("has a port that is none") from None
        return cls(parts.hostname, port, parts.scheme == "tls", tuple(given.items()))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Wire(Connection):
    """One connection. Everything that is sent in one turn of the loop leaves in one write."""

    def __init__(self, inbox: str, answer: Answer, lost: Callable[[str], None]) -> None:
        super().__init__()
        self.info: dict[str, Any] = {}
        self._inbox = inbox
        self._prefix = len(inbox) + 1
        self._answer = answer
        self._lost = lost
        self._buffer = b""
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._informed: asyncio.Future[None] = self._loop.create_future()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._questions = itertools.count(_FIRST_REQUEST)

    async def open(
        self, server: Server, secured: Callable[[], ssl.SSLContext] = ssl.create_default_context
    ) -> None:
        """Connect and wait until the server takes messages; raises Transient or Permanent. ``secured`` is
        asked for what TLS is spoken with where it is."""
        doing = f"connecting to NATS at {server}"
        with opening(doing):
            await self._loop.create_connection(lambda: self, server.host, server.port)
            await self._informed
            if server.tls or self.info.get("tls_required"):
                await self._secure(server, secured())
            self._hello(server)
            await self._ready

    async def _secure(self, server: Server, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        secured = await self._loop.start_tls(self._transport, self, context, server_hostname=server.host)
        self._transport = cast("asyncio.Transport", secured)

    def _hello(self, server: Server) -> None:
        if not self.info.get("headers"):
            self._fail("the server has no headers; NATS 2.2 or later is needed")
            return
        words = {
            "verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "pillion",
            "version": "0", "protocol": 1, "name": "pillion", **dict(server.credentials),
        }  # fmt: skip
        self._write(
            b"CONNECT %b\r\nSUB %b.* 1\r\nPING\r\n" % (json.dumps(words).encode(), self._inbox.encode())
        )

    async def request(self, subject: str, body: bytes, timeout: float) -> bytes:
        """Ask the server's own API and return its answer; raises Transient."""
        number = next(self._questions)
        asked: asyncio.Future[bytes] = self._loop.create_future()
        self._asked[number] = asked
        self._write(
            b"PUB %b %b.%d %d\r\n%b\r\n" % (subject.encode(), self._inbox.encode(), number, len(body), body)
        )
        try:
            async with asyncio.timeout(timeout):
                return await asked
        except TimeoutError:
            raise Transient(f"asking NATS: no answer within {timeout:g} s; is JetStream on?") from None
        finally:
            del self._asked[number]

    def send(self, data: bytes) -> None:
        """Send whole protocol messages."""
        self._soon(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, once."""
        self._fail(f"the connection ended{f': {exc}' if exc else ''}")

    def data_received(self, data: bytes) -> None:
        """Take in what the server says, whole messages at a time."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while not self._closed and (end := buffer.find(b"\r\n", at)) >= 0:
            after = self._message(buffer, at, end)
            if after < 0:
                break
            at = after
        self._buffer = buffer[at:]
        if len(self._buffer) > _LONGEST_LINE and b"\r\n" not in self._buffer:
            self._fail("the server sent what is not NATS")

    def _message(self, buffer: bytes, at: int, end: int) -> int:
        # The answers to what was published come first: there is one for every event.
        verb = buffer[at]
        if verb in b"MH":
            return self._answered(buffer, at, end)
        line = buffer[at:end]
        if line.startswith(b"PING"):
            self._write(b"PONG\r\n")
        elif line.startswith(b"INFO "):
            self._inform(line[5:])
        elif line.startswith(b"PONG"):
            if not self._ready.done():
                self._ready.set_result(None)
        elif line.startswith(b"-ERR"):
            self._fail(f"the server says {line[5:].decode(errors='replace')}")
        return end + 2

    def _answered(self, buffer: bytes, at: int, end: int) -> int:
        words = buffer[at:end].split(b" ")
        try:
            length = int(words[-1])
            head = int(words[-2]) if words[0] == b"HMSG" else 0
            number = int(words[1][self._prefix :])
        except (ValueError, IndexError):
            self._fail("the server sent an answer that can't be read")
            return end + 2
        start = end + 2
        if len(buffer) < start + length + 2:
            return -1
        if number < _FIRST_REQUEST:
            self._answer(number, buffer[start : start + head], buffer[start + head : start + length])
        elif number in self._asked and not self._asked[number].done():
            self._asked[number].set_result(buffer[start + head : start + length])
        return start + length + 2

    def _inform(self, text: bytes) -> None:
        try:
            self.info = json.loads(text)
        except ValueError:
            self._fail("the server's INFO can't be read")
            return
        if not self._informed.done():
            self._informed.set_result(None)

    def _fail(self, reason: str) -> None:
        if self._closed:
            return
        self.close()
        everyone: list[asyncio.Future[Any]] = [self._informed, self._ready, *self._asked.values()]
        for waiting in everyone:
            if not waiting.done():
                waiting.set_exception(_refusal(reason))
                waiting.exception()
        self._lost(reason)


def _refusal(reason: str) -> Transient | Permanent:
    text = f"connecting to NATS: {reason}"
    return Permanent(f"{text}; see outbox.broker.url") if "uthorization" in reason else Transient(text)
