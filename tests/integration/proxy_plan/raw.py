"""Requests byte by byte, as no well-behaved client sends them."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent.model.address import Address


@dataclass(frozen=True)
class Reply:
    """What came back; status 0: the connection was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a document."""
        return json.loads(self.body)


@asynccontextmanager
async def opened(
    address: Address, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is closed whatever comes: one that is left fails a later test."""
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()


async def send(
    address: Address, data: bytes, *, within: float = 30.0, tls: ssl.SSLContext | None = None
) -> Reply:
    """Send the bytes on a connection of their own and read one answer."""
    async with asyncio.timeout(within), opened(address, tls) as (reader, writer):
        writer.write(data)
        await writer.drain()
        return await read(reader)


async def read(reader: asyncio.StreamReader) -> Reply:
    """One answer with a told length, or up to the connection's end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Reply(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    length = headers.get("content-length")
    body = await (reader.readexactly(int(length)) if length is not None else reader.read())
    return Reply(int(first.split(" ")[1]), headers, body)


def request(
    target: str, *lines: str, method: str = "GET", host: str = "shop.example", body: bytes = b""
) -> bytes:
    """A request with these header lines as they stand."""
    head = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host else []), *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
