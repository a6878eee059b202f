"""Connections to RabbitMQ: which servers a URL names, and what the library's errors mean. Used by both ends.

The library's robust connection is not used: it comes back by itself and would do again what its user does again
anyway. Source: RabbitMQ documentation, "URI Specification", "Heartbeats".
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aio_pika
from aio_pika import exceptions as said
from aio_pika.abc import AbstractConnection

from agent.runtime.errors import Permanent, PillionError, Transient

FORM = "amqp://[USER:PASSWORD@]HOST:PORT[/VHOST], or amqps:// with TLS"
CLOSING = 1.0
"""Seconds that an end is waited for."""
ERRORS = (said.AMQPError, OSError, RuntimeError)
"""What the library raises: RuntimeError for a channel that is closed."""
_SCHEMES = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True)
class Server:
    """One server of a URL; the secrets never appear in a text."""

    host: str
    port: int
    tls: bool
    vhost: str
    user: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Read ``amqp://[user:password@]host[:port][/vhost]``; raises ValueError without the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("is no URL that can be read") from None
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("is not amqp://HOST:PORT or amqps://HOST:PORT")
        return cls(
            parts.hostname,
            port or _SCHEMES[parts.scheme],
            parts.scheme == "amqps",
            unquote(parts.path[1:]) or "/",
            unquote(parts.username or "guest"),
            unquote(parts.password or "guest"),
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def servers(url: str) -> list[Server]:
    """The servers of a URL, apart by commas; raises ValueError without it."""
    return [Server.parse(each.strip()) for each in url.split(",")]


@dataclass(frozen=True)
class Connector:
    """Makes connections as one section of the settings says."""

    section: str
    """The section, such as ``outbox.broker``, for texts."""
    url: Callable[[], str]
    """Asked whenever a connection is made, so that changed credentials count."""
    secured: Callable[[], ssl.SSLContext]
    timeout: float
    """Seconds that the server may take for each answer."""
    heartbeat: int = 20
    """Seconds between signs of life; who gives none for about twice as long is dead to the other."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """A connection for the body, to the first server that takes it; raises Transient or Permanent."""
        connection = await self._connect()
        try:
            yield connection
        finally:
            await _closed(connection)

    async def _connect(self) -> AbstractConnection:
        try:
            named = servers(self.url())
        except ValueError as error:
            raise Transient(f"connecting to RabbitMQ: {self.section}.url {error}") from None
        errors: list[PillionError] = []
        for server in named:
            context = self.secured() if server.tls else None
            try:
                async with self.translated(f"connecting to RabbitMQ at {server}"):
                    return await aio_pika.connect(
                        host=server.host, port=server.port, login=server.user, password=server.password,
                        virtualhost=server.vhost, ssl=server.tls, ssl_context=context, heartbeat=self.heartbeat,
                    )  # fmt: skip
            except PillionError as error:
                errors.append(error)
        raise errors[0] if len(errors) == 1 else Transient("; ".join(map(str, errors)))

    @asynccontextmanager
    async def translated(self, doing: str) -> AsyncIterator[None]:
        """The library's errors become ours; raises Transient or Permanent, the former also when it takes too long."""
        try:
            async with asyncio.timeout(self.timeout):
                yield
        except (said.AuthenticationError, said.ProbableAuthenticationError) as error:
            raise Permanent(
                f"{doing}: the server refuses the user or the password; see {self.section}.url"
            ) from error
        except TimeoutError as error:
            raise Transient(f"{doing}: no answer within {self.timeout:g} s; is it running?") from error
        except ERRORS as error:
            if isinstance(error.__cause__, ssl.SSLError):
                reason = error.__cause__.reason or "it failed"
                raise Permanent(f"{doing}: TLS failed: {reason}; see {self.section}.ca_cert") from error
            raise Transient(f"{doing}: {words(error)}") from error


async def _closed(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(CLOSING):
            await connection.close()
    except (*ERRORS, TimeoutError):
        return


def words(error: BaseException | None) -> str:
    """What an error says, on one line and not endless: part of it comes from the network."""
    if error is None:
        return "it was closed"
    text = str(error) or type(error).__name__
    return "".join(char for char in " ".join(text.split()) if char.isprintable())[:300]
