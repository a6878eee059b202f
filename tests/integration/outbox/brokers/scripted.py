"""A receiver of webhooks in this process that answers as a test tells it, and what a link is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.ports import free_port

TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """One that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """By name in small letters."""
    body: bytes
    connection: int

    @property
    def id(self) -> str:
        return self.headers.get("ce-id", "")


Script = Callable[[Request], "bytes | Awaitable[bytes]"]
"""The answer; an empty one cuts the connection, and so does what ends in ``CUT``."""

CUT = b"<cut>"


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[int]:
    """The port of a server whose connections are all ended after the body."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            if writer.transport.get_write_buffer_size() and not server.is_serving():
                writer.transport.abort()

    port = free_port()
    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield port
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(set(tasks))
        await asyncio.sleep(0)


class Receiver:
    """Keeps all requests but the probes, which are always taken."""

    def __init__(self, script: Script) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        self.most = 0
        """Connections at once."""
        self.script = script
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """End all connections in order."""
        for writer in self._writers:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Receiver"]:
        """Listens for the body."""
        async with serving(self._accept) as port:
            self.url = f"http://127.0.0.1:{port}/events"
            yield self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        self._writers.add(writer)
        connection = self.connections
        try:
            while await self._serve(connection, reader, writer):
                pass
        finally:
            self.open -= 1
            self._writers.discard(writer)

    async def _serve(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        method, path, _ = first.split(" ")
        request = Request(method, path, headers, body, connection)
        answer: bytes | Awaitable[bytes] = TAKEN
        if method != "OPTIONS":
            self.requests.append(request)
            answer = self.script(request)
        said = answer if isinstance(answer, bytes) else await answer
        writer.write(said.removesuffix(CUT))
        await writer.drain()
        return bool(said) and not said.endswith(CUT)


@dataclass
class Told:
    """Outcomes as they come."""

    done: list[int] = field(default_factory=list)
    refusals: dict[int, str] = field(default_factory=dict)
    misplaced: set[int] = field(default_factory=set)
    """Refused for where they go, not for what they are."""
    postponed: dict[int, tuple[str, float]] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)

    def acknowledged(self, number: int) -> None:
        self.done.append(number)

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        self.refusals[number] = reason
        if not own:
            self.misplaced.add(number)

    def later(self, number: int, reason: str, delay: float = 0.0) -> None:
        self.postponed[number] = (reason, delay)

    def lost(self, reason: str) -> None:
        self.losses.append(reason)

    @property
    def count(self) -> int:
        return len(self.done) + len(self.refusals) + len(self.postponed)
