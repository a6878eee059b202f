"""A service that breaks in every way that HTTP libraries hide: its answers are written byte by byte."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEVER = 30.0
"""Seconds that a service is silent: longer than any timeout of these tests."""


@dataclass
class Seen:
    """Requests as they reached the service: ``METHOD /path``, in order."""

    port: int
    requests: list[str] = field(default_factory=list)

    def times(self, method: str, path: str) -> int:
        """How often the service got this request."""
        return self.requests.count(f"{method} {path}")


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by RST."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _body(reader: asyncio.StreamReader, head: bytes) -> None:
    found = re.search(rb"content-length: (\d+)", head.lower())
    if found:
        await reader.readexactly(int(found[1]))


Stage = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


def _answering(answer: bytes) -> Stage:
    async def stage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        await _body(reader, head)
        writer.write(answer)
        await writer.drain()

    return stage


def _breaking(after: bytes, *, body: bool = True, kindly: bool = False) -> Stage:
    async def stage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        if body:
            await _body(reader, head)
        writer.write(after)
        await writer.drain()
        if after:
            await asyncio.sleep(0.05)  # what was written is to arrive before the end
        writer.close() if kindly else _reset(writer)

    return stage


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Take the request and say nothing."""
    await _body(reader, head)
    with suppress(TimeoutError):
        async with asyncio.timeout(NEVER):
            await reader.read()


BROKEN: Mapping[str, Stage] = {
    "/reset-after-headers": _breaking(b"", body=False),
    "/reset-after-request": _breaking(b""),
    "/closed-after-request": _breaking(b"", kindly=True),
    "/reset-within-headers": _breaking(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "/reset-within-body": _breaking(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    "/no-http": _answering(b"what?\r\n\r\n"),
}
"""Ways to break a connection once the request is there."""
REFUSING: Mapping[str, Stage] = {
    f"/answer-{status}": _answering(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
    for status in (409, 429, 500, 502, 503, 504)
}
"""Answers that say that it did not work."""
SILENT: Mapping[str, Stage] = {"/silent": silent}
"""The request is taken, and nothing comes back."""


@asynccontextmanager
async def service(stages: Mapping[str, Stage] | None = None) -> AsyncIterator[Seen]:
    """A service that does what the path of a request says; any other path is answered 200."""
    known = {**BROKEN, **REFUSING, **SILENT} if stages is None else stages
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b" ", 2)
                seen.requests.append(f"{method.decode()} {path.decode()}")
                await known.get(path.decode(), _answering(OK))(reader, writer, head)
                if writer.is_closing():
                    return
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen = Seen(server.sockets[0].getsockname()[1])
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


@contextmanager
def deaf() -> Iterator[int]:
    """A port at which no connection is ever made: the queue of those that wait is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        try:
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()
