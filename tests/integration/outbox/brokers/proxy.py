"""A TCP proxy that loses, holds or cuts what goes through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Proxy:
    """Forwards ``listen`` to ``target`` on this machine."""

    def __init__(self, listen: int, target: int) -> None:
        self._listen = listen
        self._target = target
        self._muted = False
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def mute(self) -> None:
        """Lose what the server says from now on, what is sent to it arrives."""
        self._muted = True

    def hold(self) -> None:
        """Keep what is sent in either direction until ``release``."""
        self._open.clear()

    def release(self) -> None:
        """Let what was held go on, though long after it was sent."""
        self._open.set()

    def heal(self) -> None:
        """Cut all connections; new ones work."""
        self._muted = False
        self._open.set()
        self.cut()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listens for the body."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self._listen)
        try:
            yield self
        finally:
            server.close()
            self.heal()
            for task in list(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepting = asyncio.current_task()
        assert accepting is not None
        self._tasks.add(accepting)
        accepting.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for task in (
            asyncio.create_task(self._pump(reader, far_writer, answers=False)),
            asyncio.create_task(self._pump(far_reader, writer, answers=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                if not (answers and self._muted):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            # What was held at the moment of a cut on the other side has been written by now.
            self._writers.discard(writer)
            writer.close()
