"""NATS JetStream. An event is acknowledged when its stream has stored it.

Sources: NATS documentation, "JetStream model deep dive" (message deduplication, expected stream), "JetStream wire API"
(publish acknowledgement); CloudEvents 1.0, HTTP and NATS protocol bindings, binary content mode (percent-encoding).
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import msgspec
import nats
import nats.errors
import nats.js.errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from agent.config.sections.outbox import Broker as Settings
from agent.outbox.brokers import Link, Outcomes
from agent.outbox.brokers.wire import Server, Wire
from agent.outbox.events import Event, RefusedError
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem, Transient

_PLAIN = re.compile(r"[!#$&-~]*")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_STREAM = re.compile(r"[^\s.*>/\\\x00-\x1f\x7f]{1,255}")
_NO_STREAM = b"NATS/1.0 503"


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    error: _Error | None = None


_ACK = msgspec.json.Decoder(_Ack)


def make(settings: Settings, service: str) -> "Nats":
    """The broker of these settings; raises Misconfigured."""
    problems = []
    servers = []
    for url in settings.url.split(","):
        try:
            servers.append(Server.parse(url.strip()))
        except ValueError as error:
            problems.append(Problem("outbox.broker.url", str(error)))
    stream = settings.stream or service
    if not _STREAM.fullmatch(stream):
        problems.append(
            Problem("outbox.broker.stream", f"is {stream!r}", "a name without spaces, dots and wildcards")
        )
    if problems:
        raise Misconfigured(problems)
    return Nats(settings.url, servers, stream, create=settings.create, timeout=settings.timeout)


class Nats:
    """A JetStream stream."""

    name = "nats"

    def __init__(self, url: str, servers: list[Server], stream: str, *, create: bool, timeout: float) -> None:
        self._url = url
        self._servers = servers
        self._stream = stream
        self._create = create
        self._timeout = timeout

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:
        """See ``brokers.Broker.link``."""
        warnings = await self._check(topics)
        link = JetStream(self._stream, outcomes, warnings)
        await self._open(link)
        try:
            yield link
        finally:
            link.wire.close()

    async def _open(self, link: "JetStream") -> None:
        errors: list[str] = []
        for server in self._servers:
            try:
                async with asyncio.timeout(self._timeout):
                    await link.wire.open(server)
            except TimeoutError:
                errors.append(f"connecting to NATS at {server}: no answer within {self._timeout} s")
            except PillionError as error:
                errors.append(str(error))
            else:
                link.largest = int(link.wire.info.get("max_payload", 1048576)) - JetStream.HEADROOM
                return
            link.renew()
        raise Transient("; ".join(errors))

    async def _check(self, topics: frozenset[str]) -> tuple[str, ...]:
        doing = f"looking at the JetStream stream {self._stream}"
        try:
            client = await nats.connect(
                [each.strip() for each in self._url.split(",")],
                allow_reconnect=False, connect_timeout=self._timeout, error_cb=_quiet, name="pillion",
            )  # fmt: skip
        except (OSError, nats.errors.Error, TimeoutError, ValueError) as error:
            raise Transient(f"{doing}: {type(error).__name__}: {_first_line(error)}; is NATS up?") from error
        try:
            return await self._stream_of(client.jetstream(timeout=self._timeout), topics, doing)
        except nats.js.errors.APIError as error:
            raise Transient(f"{doing}: the server says: {error.description} ({error.err_code})") from error
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Transient(
                f"{doing}: {type(error).__name__}: {_first_line(error)}; is JetStream on?"
            ) from error
        finally:
            await client.close()

    async def _stream_of(
        self, jetstream: nats.js.JetStreamContext, topics: frozenset[str], doing: str
    ) -> tuple[str, ...]:
        try:
            info = await jetstream.stream_info(self._stream)
        except nats.js.errors.NotFoundError:
            if not self._create:
                raise Permanent(f"{doing}: there is none; create it, or set outbox.broker.create") from None
            config = StreamConfig(
                name=self._stream, subjects=sorted(topics), storage=StorageType.FILE, discard=DiscardPolicy.NEW,
                retention=RetentionPolicy.LIMITS,
            )  # fmt: skip
            info = await jetstream.add_stream(config)
        config = info.config
        if self._create and not topics <= set(config.subjects or ()):
            config = await self._widen(jetstream, config, topics)
        return _warnings(config)

    async def _widen(
        self, jetstream: nats.js.JetStreamContext, config: StreamConfig, topics: frozenset[str]
    ) -> StreamConfig:
        # Several feeds of one service share a stream; a wider pattern that is there already covers the narrower.
        missing = {each for each in topics if not any(covers(old, each) for old in config.subjects or ())}
        if not missing:
            return config
        kept = [each for each in config.subjects or () if not any(covers(new, each) for new in missing)]
        config.subjects = sorted({*kept, *missing})
        return (await jetstream.update_stream(config)).config


class JetStream:
    """A link to one stream."""

    HEADROOM = 16384
    """Bytes left for headers below the server's ``max_payload``; the server refuses what is larger still."""

    def __init__(self, stream: str, outcomes: Outcomes, warnings: tuple[str, ...]) -> None:
        self.warnings = warnings
        self.largest = 1048576 - self.HEADROOM
        self._stream = stream
        self._outcomes = outcomes
        self.renew()

    def renew(self) -> None:
        """A fresh connection, not open yet."""
        inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._inbox = inbox.encode()
        self.wire = Wire(inbox, self._answered, self._outcomes.lost)

    def send(self, number: int, event: Event) -> None:
        """See ``brokers.Link.send``."""
        head = self._head(event)
        size = len(head) + len(event.body)
        if size > self.largest + self.HEADROOM:
            raise RefusedError(f"it has {size} bytes with its headers, more than the server's max_payload")
        self.wire.send(
            b"HPUB %b %b.%d %d %d\r\n%b%b\r\n"
            % (event.topic.encode(), self._inbox, number, len(head), size, head, event.body)
        )

    def _head(self, event: Event) -> bytes:
        identity, source = encoded(event.id), encoded(event.source)
        lines = [
            "NATS/1.0",
            f"Nats-Msg-Id: {source}/{identity}",
            f"Nats-Expected-Stream: {self._stream}",
            f"ce-specversion: 1.0\r\nce-id: {identity}\r\nce-source: {source}\r\nce-type: {encoded(event.type)}",
            f"ce-sequence: {event.sequence}",
        ]
        if event.body:
            lines.append(f"ce-datacontenttype: {event.content}\r\nContent-Type: {event.content}")
        if event.key is not None:
            key = encoded(event.key)
            lines.append(f"ce-subject: {key}\r\nce-partitionkey: {key}" if key else "ce-partitionkey: ")
        if event.time:
            lines.append(f"ce-time: {event.time}")
        if event.traceparent:
            lines.append(f"ce-traceparent: {event.traceparent}")
        if event.tracestate:
            lines.append(f"ce-tracestate: {encoded(event.tracestate)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _answered(self, number: int, head: bytes, body: bytes) -> None:
        if head.startswith(_NO_STREAM):
            self._outcomes.refused(number, "no stream of the server takes its topic")
            return
        try:
            ack = _ACK.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._outcomes.refused(number, "who answered is not JetStream")
            return
        if ack.error is not None:
            words = encoded(ack.error.description).replace("%20", " ")[:200]
            self._outcomes.refused(
                number, f"JetStream says: {words} ({ack.error.err_code or ack.error.code})"
            )
        elif ack.stream != self._stream or ack.seq < 1:
            self._outcomes.refused(number, f"it was not the stream {self._stream} that answered")
        else:
            self._outcomes.acknowledged(number)


def encoded(value: str) -> str:
    """A header's value: what is not printable ASCII, a space, a quote and a percent sign percent-encoded."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_SAFE, errors="replace")


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject of the pattern ``narrow`` is one of ``wide``."""
    left, right = wide.split("."), narrow.split(".")
    for place, token in enumerate(left):
        if token == ">":
            return len(right) > place
        if place >= len(right) or right[place] == ">" or (token not in ("*", right[place])):
            return False
    return len(left) == len(right)


def _warnings(config: StreamConfig) -> tuple[str, ...]:
    found = []
    if config.storage == StorageType.MEMORY:
        found.append("the stream is in memory: a restart of the server loses it; make it a file stream")
    if (config.num_replicas or 1) < 3:
        found.append("the stream has less than 3 replicas: a lost disk loses events; set num_replicas to 3")
    limited = any((limit or 0) > 0 for limit in (config.max_msgs, config.max_bytes))
    if config.discard != DiscardPolicy.NEW and limited:
        found.append("a full stream drops its oldest events; set discard: new")
    if config.no_ack:
        found.append("the stream does not acknowledge, so that nothing can be published; turn no_ack off")
    return tuple(found)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


async def _quiet(_error: Exception) -> None:
    """Errors are raised where the client is called; the client would log them too."""
