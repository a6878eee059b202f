"""An event as an HTTP request: a CloudEvent in binary content mode, with the headers of Standard Webhooks.

Sources: CloudEvents 1.0, HTTP protocol binding; Standard Webhooks specification 1.0.0; W3C Trace Context.
"""

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from agent.outbox.brokers.headers import encoded
from agent.outbox.brokers.signing import signature
from agent.outbox.events import Event

_PATH = re.compile(r"[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*")
_HOST = re.compile(r"[0-9A-Za-z.:_-]{1,253}")
_LARGE = 262144
"""Bytes of a body that is not sent before the receiver said that it wants it."""
_KNOWN = 1000
"""Beginnings that are remembered; topics and types are few, but it is others who make them."""


@dataclass(frozen=True)
class Endpoint:
    """Where events are posted to; the secrets never appear in a text."""

    host: str
    port: int
    tls: bool
    path: str
    """With the query."""
    authorization: str = field(repr=False)
    """The header's value, empty where the URL holds no user."""

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read ``http[s]://[user:password@]host[:port]/path[?query]``; raises ValueError without the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The library's words hold what stands before the host, and with it the password.
            raise ValueError("is no URL that can be read") from None
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
            raise ValueError("is not http://HOST/PATH or https://HOST/PATH")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _PATH.fullmatch(path) or parts.fragment:
            raise ValueError("has a path that must be percent-encoded, or a part behind #")
        given = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = base64.b64encode(given.encode()).decode() if given != ":" else ""
        secured = parts.scheme == "https"
        return cls(
            parts.hostname or "", port or (443 if secured else 80), secured, path, basic and f"Basic {basic}"
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether what is sent stays on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


class Encoder:
    """Makes the requests of one link."""

    def __init__(self, endpoint: Endpoint) -> None:
        common = f"{endpoint.path} HTTP/1.1\r\nHost: {endpoint}\r\nUser-Agent: pillion\r\n"
        if endpoint.authorization:
            common += f"Authorization: {endpoint.authorization}\r\n"
        self._begin = f"POST {common}"
        self.probe = f"OPTIONS {common}Content-Length: 0\r\n\r\n".encode()
        """A request that changes nothing, to see whether the receiver is there."""
        self._known: dict[tuple[str, str, str, str, bool], str] = {}

    def request(self, event: Event, secrets: tuple[bytes, ...], timestamp: int) -> tuple[bytes, bytes]:
        """POST, signed with each of the secrets, and the part of it that is held back: see ``Exchange.ask``.
        ``timestamp``: seconds of the wall clock, when it is sent."""
        identity = encoded(event.id)
        token = f"{encoded(event.source)}/{encoded(event.feed)}/{identity}".replace(".", "%2E")
        lines = [
            self._head(event),
            f"ce-id: {identity}\r\nce-sequence: {event.sequence}\r\n",
            f"webhook-id: {token}\r\nIdempotency-Key: {token}\r\nwebhook-timestamp: {timestamp}\r\n",
            f"Content-Length: {len(event.body)}\r\n",
        ]
        if secrets:
            lines.append(f"webhook-signature: {signature(secrets, token, timestamp, event.body)}\r\n")
        if event.key is not None:
            key = encoded(event.key)
            lines.append(f"ce-partitionkey: {key}\r\n")
            if key:
                lines.append(f"ce-subject: {key}\r\n")
        if event.time:
            lines.append(f"ce-time: {encoded(event.time)}\r\n")
        if event.traceparent:
            lines.append(f"ce-traceparent: {event.traceparent}\r\ntraceparent: {event.traceparent}\r\n")
        if event.tracestate:
            state = encoded(event.tracestate)
            lines.append(f"ce-tracestate: {state}\r\ntracestate: {event.tracestate.strip()}\r\n")
        if len(event.body) > _LARGE:
            return "".join([*lines, "Expect: 100-continue\r\n\r\n"]).encode(), event.body
        return "".join(lines).encode() + b"\r\n" + event.body, b""

    def _head(self, event: Event) -> str:
        kind = (event.topic, event.source, event.type, event.content, not event.body)
        known = self._known.get(kind)
        if known is not None:
            return known
        head = (
            f"{self._begin}ce-specversion: 1.0\r\nce-source: {encoded(event.source)}\r\n"
            f"ce-type: {encoded(event.type)}\r\nPillion-Topic: {encoded(event.topic)}\r\n"
        )
        if event.body:
            head += f"Content-Type: {event.content}\r\n"
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[kind] = head
        return head
