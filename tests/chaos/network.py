"""A way to a server that a test can cut, mute and slow while the server itself goes on."""

import asyncio
import contextlib


class Network:
    """Carries connections to a local port, as well as it is told to."""

    def __init__(self, target: int) -> None:
        self.target = target
        """The port that new connections lead to."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loud = asyncio.Event()
        self._loud.set()
        self._open = True
        self.delay = 0.0
        """Seconds by which every piece is late."""
        self.port = 0

    async def start(self) -> None:
        """Listen; ``port`` says where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Break everything for good."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break all connections and take no new ones."""
        self._open = False
        for writer in tuple(self._writers):
            writer.transport.abort()

    def mute(self) -> None:
        """Take everything and carry nothing; what was taken is carried once it is healed."""
        self._loud.clear()

    def heal(self) -> None:
        """Carry again, at once."""
        self._open, self.delay = True, 0.0
        self._loud.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._open:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, there_writer}
        pumps = [
            asyncio.ensure_future(self._pump(reader, there_writer)),
            asyncio.ensure_future(self._pump(there_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers -= {writer, there_writer}
            there_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._loud.wait()
                writer.write(data)
                await writer.drain()
