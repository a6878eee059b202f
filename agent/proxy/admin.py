"""Envoy's own admin API, on its unix socket."""

from pathlib import Path

from agent.model.address import Address
from agent.proxy.snapshot import Resource


class EnvoyAdmin:
    """A client of one Envoy's admin socket.

    All calls raise Transient when Envoy does not answer within ``timeout`` seconds.
    """

    def __init__(self, socket: Path, timeout: float = 2.0) -> None:
        self._socket = socket
        self._timeout = timeout

    async def listening(self) -> dict[str, Address]:
        """The addresses of the listeners that are up, by listener name."""
        raise NotImplementedError

    async def metrics(self) -> str:
        """All statistics in Prometheus' text form."""
        raise NotImplementedError

    async def config_dump(self) -> Resource:
        """What Envoy holds, as it tells it itself."""
        raise NotImplementedError

    async def drain(self, within: float) -> bool:
        """Stop taking new inbound work and wait until what is in flight has ended, at most ``within``
        seconds.

        Returns whether all of it ended in that time. Calling it again goes on waiting.
        """
        raise NotImplementedError
