"""What the connections have in common on which a broker's protocol is spoken here without a driver."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from agent.runtime.errors import Permanent, Transient


class Connection(asyncio.Protocol):
    """A transport that may be closed before it is there."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._out: list[bytes] = []

    def close(self) -> None:
        """End the connection; nothing more is told."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)
        if self._closed:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._closed:
            self._transport.write(data)

    def _soon(self, data: bytes) -> None:
        """Write it with all else of this turn of the loop at once."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._write(b"".join(out))


@contextmanager
def opening(doing: str) -> Iterator[None]:
    """What goes wrong while a connection is made becomes Transient or Permanent; ``doing`` begins the sentence."""
    try:
        yield
    except ssl.SSLError as error:
        raise Permanent(f"{doing}: TLS failed: {error.reason or error}") from error
    except OSError as error:
        raise Transient(f"{doing}: {error.strerror or error}; is it running?") from error
