"""A gRPC server on a unix socket that its owner reaches, or a group too, and that ends its connections with itself."""

import asyncio
import os
import tempfile
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from grpclib.const import Handler
from grpclib.protocol import H2Protocol
from grpclib.server import Server

from agent.runtime.errors import Permanent

LONGEST_PATH = 107
"""Bytes of a unix socket's path (``sun_path`` less its final zero)."""


class Servable(Protocol):
    """What grpclib serves."""

    def __mapping__(self) -> Mapping[str, Handler]:
        """Handlers by the path of their method."""


class SocketServer(Server):
    """grpclib's server, which by itself leaves connections open when it closes.

    Envoy would stay on a dead one. ``group`` is the id of a group that may connect too, None for none.
    """

    def __init__(self, handlers: Collection[Servable], path: Path, group: int | None = None) -> None:
        super().__init__(handlers)
        self._path = path
        self._group = group
        self._inode = 0
        self._protocols: weakref.WeakSet[H2Protocol] = weakref.WeakSet()

    async def listen(self) -> None:
        """Replace what is at the path, such as a dead agent's socket; raises Permanent when it can't.

        Bound in a private folder and then renamed: there is no moment without a socket, and none at which
        another user could connect.
        """
        try:
            with tempfile.TemporaryDirectory(dir=self._path.parent, prefix=".") as private:
                beside = Path(private) / "s"
                if max(len(bytes(self._path)), len(bytes(beside))) > LONGEST_PATH:
                    text = f"the socket {self._path} needs a path of at most {LONGEST_PATH} bytes"
                    raise Permanent(f"{text}: set a shorter state.dir")
                await self._begin(beside)
                if self._group is not None:
                    os.chown(beside, -1, self._group)
                beside.chmod(0o600 if self._group is None else 0o660)
                beside.replace(self._path)
                self._inode = self._path.stat().st_ino
        except OSError as error:
            raise Permanent(f"listening on the socket {self._path} failed: {error.strerror}") from error

    async def _begin(self, path: Path) -> None:
        """Listen; asyncio loses a socket whose making is cancelled."""
        starting = asyncio.create_task(self.start(path=str(path)), name="xds: socket")
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await starting
            self.close()
            await self.wait_closed()
            raise

    async def stop(self) -> None:
        """End all connections and remove the socket, unless a successor's is there already."""
        self.close()
        for protocol in list(self._protocols):
            protocol.processor.close("the agent stops")
        await self.wait_closed()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._protocols.add(protocol)
        return protocol
