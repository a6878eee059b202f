"""Where Consul is: the setting ``registry.address`` as scheme, host and port, and the way to it."""

import asyncio
import ipaddress
import socket
import urllib.parse
from dataclasses import dataclass

from agent.runtime.errors import Misconfigured, Problem, Transient

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Endpoint:
    """Consul's HTTP address. Its text holds no credentials."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, address: str) -> "Endpoint":
        """Read a URL or HOST:PORT; raises Misconfigured for anything that can't be Consul's HTTP address."""
        text = address if "://" in address else f"http://{address}"
        try:
            parts = urllib.parse.urlsplit(text)
            port = parts.port
        except ValueError:
            raise _refused("is not a URL or HOST:PORT") from None
        if parts.scheme not in {"http", "https"}:
            raise _refused(f"has the scheme {parts.scheme!r}")
        if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise _refused("is not a URL or HOST:PORT")
        if parts.username is not None or parts.password is not None:
            raise _refused("holds a user name or password")
        return cls(parts.scheme, parts.hostname, port or (8501 if parts.scheme == "https" else 8500))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _refused(wrong: str) -> Misconfigured:
    allowed = "http://HOST:PORT, https://HOST:PORT or HOST:PORT; a token belongs into registry.token"
    return Misconfigured([Problem("registry.address", wrong, allowed)])


async def local_address(endpoint: Endpoint) -> str:
    """The local IP address from which this machine reaches the endpoint. Raises Transient.

    Connecting a datagram socket makes the kernel choose the route and sends nothing.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(where)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise Transient(f"finding the way to Consul at {endpoint} failed: {error}") from error


async def resolved(host: str) -> str:
    """An IP address of the host; an IP address is itself. Raises Transient."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Transient(f"resolving service.address {host!r} failed: {error}") from error
    return str(found[0][4][0])


def is_loopback(host: str) -> bool:
    """Whether the text is a loopback IP address or ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(host: str) -> bool:
    """Whether listening at ``host`` means listening at every address of the machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
