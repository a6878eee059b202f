"""One agent's way to Consul: counts what it asks, and can be slow, shut or cut."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

WINDOW = 10.0
"""Seconds over which calls are counted together."""


@dataclass
class Counts:
    """Each call's time and what it asked for, without ids and indexes."""

    calls: list[tuple[float, str]] = field(default_factory=list)

    def rate(self, begin: float, end: float) -> float:
        """Calls a second between two moments of the monotonic clock."""
        return sum(begin <= at <= end for at, _ in self.calls) / max(end - begin, 0.001)

    def most(self, begin: float, end: float) -> float:
        """Calls a second in the busiest ``WINDOW`` between two moments."""
        times = [at for at, _ in self.calls if begin <= at <= end]
        return max((sum(one <= at < one + WINDOW for at in times) for one in times), default=0) / WINDOW

    def what(self, begin: float, end: float) -> Counter[str]:
        """What was asked for between two moments, how often."""
        return Counter(what for at, what in self.calls if begin <= at <= end)


@dataclass
class Relay:
    """Passes connections on to a local port. An agent takes a connection for each call."""

    port: int
    counts: Counts = field(default_factory=Counts)
    delay: float = 0.0
    """Seconds that each answer is held back."""
    shut: bool = False
    """Each new connection is closed at once."""
    address: str = ""
    _calls: set[asyncio.Task[None]] = field(default_factory=set)

    def cut(self) -> None:
        """Break what is asked at this moment."""
        for task in tuple(self._calls):
            task.cancel()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Relay"]:
        """Pass on while the block runs."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._calls.add(task)
            try:
                if not self.shut:
                    await self._pass(reader, writer)
            finally:
                self._calls.discard(task)
                await _closed(writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._calls, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            first = await reader.read(65536)
            if not first:
                return
            self.counts.calls.append((time.monotonic(), _what(first)))
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                there_writer.write(first)
                pumps = {
                    asyncio.create_task(_pump(reader, there_writer, 0.0)),
                    asyncio.create_task(_pump(there_reader, writer, self.delay)),
                }
                # A call is over when either side is: the agent gives up, or Consul has answered.
                _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in left:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
            finally:
                await _closed(there_writer)


def _what(first: bytes) -> str:
    """The method and the first parts of the path."""
    method, _, rest = first.split(b"\r\n", 1)[0].decode(errors="replace").partition(" ")
    return f"{method} {'/'.join(rest.partition(' ')[0].partition('?')[0].split('/')[:5])}"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on until the end; the first part is held back."""
    while data := await reader.read(65536):
        if delay:
            await asyncio.sleep(delay)
            delay = 0.0
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close it when all that was written has gone; at once where this is cancelled meanwhile."""
    writer.close()
    try:
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    finally:
        writer.transport.abort()
