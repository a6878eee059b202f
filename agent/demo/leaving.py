"""The step on the way out: what a service's request meets when it leaves through the sidecar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from agent.demo.traffic import NotSeenError
from agent.demo.walk import Scene

OURS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "demo"}
"""What a service that carries its trace would send along."""


async def leaving(scene: Scene, proxy: str) -> str:
    """Through the outbound of a sidecar: a service by its name, a stranger, and the sidecar itself."""
    async with _stranger() as (stranger, heard), aiohttp.ClientSession() as session:
        for url, wanted in (("http://inventory/stock", 200), (stranger, 200), (f"{proxy}/", 508)):
            async with session.get(url, proxy=proxy, headers=OURS) as answer:
                scene.report.saw(f"GET {url} by the proxy {proxy}: {answer.status}")
                if answer.status != wanted:
                    text = (await answer.text()).strip()[:200]
                    raise NotSeenError(f"GET {url} was answered {answer.status}, not {wanted}: {text}")
    names = {line.partition(":")[0].lower() for line in heard[0].splitlines()[1:] if line}
    scene.report.saw(f"the stranger got the headers {', '.join(sorted(names))}")
    if told := {name for name in names if name in OURS or name.startswith(("x-envoy", "x-pillion"))}:
        raise NotSeenError(f"the stranger was told {', '.join(sorted(told))}")
    return "a stranger was reached and told nothing of the mesh; a request in a circle was answered 508"


@asynccontextmanager
async def _stranger() -> AsyncIterator[tuple[str, list[str]]]:
    """The URL of a server outside the mesh, and what it hears."""
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", heard
