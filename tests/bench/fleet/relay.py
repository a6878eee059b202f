"""A way to Consul with a source address of its own, on which what is asked is counted."""

import asyncio
import contextlib
import re
from collections import Counter

KINDS = (
    ("/v1/agent/check/", "feeding the check"),
    ("/v1/agent/service/", "looking at the registration"),
    ("/v1/health/service/", "reading a service"),
    ("/v1/health/state/", "following all checks"),
    ("/v1/catalog/services", "following the list of services"),
    ("/v1/kv/", "following KV"),
)
"""What a question is for, by the beginning of its path."""
OTHER = "other"
_QUESTION = re.compile(rb"(?m)^(?:GET|PUT|POST|DELETE) (\S+) HTTP/1\.1\r$")


def kinds(sent: bytes) -> list[str]:
    """What each request is for whose first line is in these bytes."""
    return [kind(path.decode(errors="replace")) for path in _QUESTION.findall(sent)]


def kind(path: str) -> str:
    """What a request for this path is for."""
    return next((said for beginning, said in KINDS if path.startswith(beginning)), OTHER)


class Relay:
    """Passes connections on to Consul's ``port`` on this machine, from the address ``source``.

    A Consul takes 200 connections from one address, which fifty agents on one machine would share.
    """

    def __init__(self, source: str, port: int) -> None:
        self.source = source
        self.port = port
        self.url = ""
        self.asked: Counter[str] = Counter()
        """How many requests went through, by what they are for."""
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; afterwards ``url`` is what an agent takes for Consul's."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0))
            back = asyncio.create_task(_pump(there[0], writer), name="relay: answers")
            try:
                await self._send(reader, there[1])
            finally:  # an agent that hangs up waits for no answer
                await asyncio.wait({back}, timeout=0 if reader.at_eof() else None)
                back.cancel()
                there[1].close()
        writer.close()

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while sent := await reader.read(65536):
            self.asked.update(kinds(sent))
            writer.write(sent)
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while got := await reader.read(65536):
            writer.write(got)
            await writer.drain()
        writer.close()
