"""Asking Redis: one command at a time on a connection, its reply whole. Replies are hostile until they are read.

Not the connection that publishes: a read waits on the server, and an entry may be large. Source: Redis documentation,
"Redis serialization protocol specification" (RESP2).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agent.outbox.brokers.connection import opening
from agent.outbox.brokers.redis import Server
from agent.outbox.brokers.redis_wire import Refusal, Reply, packed
from agent.runtime.errors import Permanent, Transient

PATIENCE = 5.0
"""Seconds that the server may take for an answer, beside what it was asked to wait."""
LONGEST = 512 * 1048576
"""Bytes of a string: Redis' own limit."""
_DEEPEST = 6
_MOST = 1048576
"""Members of a list."""
_ACCESS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


class Asking:
    """One connection. Every method raises Transient or Permanent."""

    def __init__(self, doing: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._doing = doing
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self._broken = ""

    async def ask(self, *words: str, waits: float = 0.0) -> Reply:
        """The reply, which may be a Refusal; ``waits``: seconds for which the server was asked to wait."""
        async with self._turn:
            if self._broken:
                raise Transient(f"{self._doing}: {self._broken}")
            # An answer that nobody waited for would be taken for the next one's.
            self._broken = "the connection was left amid an answer"
            try:
                async with asyncio.timeout(PATIENCE + waits):
                    self._writer.write(packed(*(word.encode() for word in words)))
                    await self._writer.drain()
                    reply = await _reply(self._reader)
            except TimeoutError as error:
                raise Transient(f"{self._doing}: no answer within {PATIENCE + waits:g} s") from error
            except (OSError, EOFError, ValueError) as error:
                self._broken = "the connection ended"
                raise Transient(f"{self._doing}: {self._broken}") from error
            self._broken = ""
            return reply

    async def must(self, *words: str) -> Reply:
        """The reply, which is no Refusal; raises for one."""
        reply = await self.ask(*words)
        if isinstance(reply, Refusal):
            raise refused(f"{self._doing} ({words[0]})", reply)
        return reply


def refused(doing: str, refusal: Refusal) -> Transient | Permanent:
    """The error of a refusal; the server's words may hold anything, so its code is shown alone."""
    if refusal.code in _ACCESS or b"AUTH" in refusal.words:
        return Permanent(f"{doing}: Redis does not let us: {refusal.code}; see inbox.broker.url")
    if b"DB index" in refusal.words:
        return Permanent(f"{doing}: Redis has no database of the number in inbox.broker.url")
    return Transient(f"{doing}: Redis says {refusal.code}")


@asynccontextmanager
async def asking(doing: str, server: Server, context: ssl.SSLContext | None) -> AsyncIterator[Asking]:
    """A connection for the body that has introduced itself; raises Transient or Permanent."""
    try:
        with opening(f"connecting to Redis at {server}"):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
    except TimeoutError:
        raise Transient(
            f"connecting to Redis at {server}: no answer within {PATIENCE:g} s; is it running?"
        ) from None
    try:
        made = Asking(doing, reader, writer)
        if server.credentials:
            await made.must("AUTH", *server.credentials)
        if server.database:
            await made.must("SELECT", str(server.database))
        yield made
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


async def _reply(reader: asyncio.StreamReader, depth: int = 0) -> Reply:
    line = await reader.readuntil(b"\r\n")
    sign, rest = line[:1], line[1:-2]
    if sign == b"+":
        return rest
    if sign == b":":
        return int(rest)
    if sign == b"-":
        word = rest.partition(b" ")[0].decode("ascii", "replace")
        return Refusal(word if word.isalnum() and len(word) < 30 else "ERR", rest)
    if sign == b"$":
        return await _bulk(reader, int(rest))
    if sign == b"*" and depth < _DEEPEST and int(rest) <= _MOST:
        return [await _reply(reader, depth + 1) for _ in range(int(rest))] if int(rest) >= 0 else None
    raise ValueError("no reply")


async def _bulk(reader: asyncio.StreamReader, size: int) -> bytes | None:
    if size < 0:
        return None
    if size > LONGEST:
        raise ValueError("a reply that is too long")
    data = await reader.readexactly(size + 2)
    return data[:-2]
