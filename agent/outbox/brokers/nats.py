"""NATS JetStream. An event is acknowledged when its stream has stored it.

Sources: NATS documentation, "JetStream model deep dive" (message deduplication, expected stream),
"JetStream wire API" (publish acknowledgement); CloudEvents 1.0, NATS protocol binding, binary content mode.
"""

import asyncio
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from agent.config.secret import Secret
from agent.config.sections.outbox import Broker as Settings
from agent.outbox.brokers import Link, Outcomes, tls
from agent.outbox.brokers.durable import demand
from agent.outbox.brokers.headers import encoded
from agent.outbox.brokers.nats_untaken import NOT_FOUND, Untaken
from agent.outbox.brokers.nats_wire import Server, Wire
from agent.outbox.events import Event, RefusedError
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem, Transient

_STREAM = re.compile(r"[^\s.*>/\\\x00-\x1f\x7f]{1,255}")
_LOOKS = 5
"""How often the stream is looked at until it has all subjects."""
_NO_STREAM = b"NATS/1.0 503"
_LATER = 1.0
"""Seconds until an event is sent again that no stream took."""
_KNOWN = 1000
"""Beginnings that are remembered; topics and types are few, but it is others who make them."""


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    error: _Error | None = None


class _Info(msgspec.Struct):
    config: dict[str, Any] | None = None
    error: _Error | None = None


_INFO = msgspec.json.Decoder(_Info)
_NO_ROOM = frozenset({10008, 10023, 10028, 10047, 10077})
"""The stream or the server takes nothing now: unavailable, out of resources, of memory, of storage, or the store
failed, as when it is full (nats-server, ``server/errors.json``)."""
_TOO_LARGE = frozenset({10054, 10097})
"""The message or its headers are larger than may be (as above): what else is refused is about the stream, as when it is
sealed."""
_ACK = msgspec.json.Decoder(_Ack)


def make(settings: Settings, service: str, *, durable: bool = False) -> "Nats":
    """The broker of these settings; raises Misconfigured."""
    problems = []
    try:
        _servers(settings.url)
    except ValueError as error:
        problems.append(Problem("outbox.broker.url", str(error)))
    stream = settings.stream or service
    if not _STREAM.fullmatch(stream):
        problems.append(
            Problem("outbox.broker.stream", f"is {stream!r}", "a name without spaces, dots and wildcards")
        )
    if problems:
        raise Misconfigured(problems)
    url = Secret.of(settings, "outbox.broker.url").read
    secured = partial(tls.context, settings.ca_cert)
    return Nats(
        url, stream, create=settings.create, timeout=settings.timeout, secured=secured, durable=durable
    )


def _servers(url: str) -> list[Server]:
    """The servers of the setting's value; raises ValueError without it."""
    return [Server.parse(each.strip()) for each in url.split(",")]


class Nats:
    """A JetStream stream."""

    name = "nats"

    def __init__(
        self,
        url: Callable[[], str],
        stream: str,
        *,
        create: bool,
        timeout: float,
        secured: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        durable: bool = False,
    ) -> None:
        """``url`` is asked whenever a link is made, so that changed credentials count, and ``secured`` for
        what TLS is spoken with. ``durable``: a stream that may lose what it acknowledged is refused."""
        self._durable = durable
        self._secured = secured
        self._url = url
        self._stream = stream
        self._create = create
        self._turn = asyncio.Lock()
        self._timeout = timeout

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:
        """See ``brokers.Broker.link``."""
        link = JetStream(self._stream, outcomes, self._timeout)
        try:
            await self._open(link)
            link.warnings = await self._check(link.wire, topics)
            yield link
        finally:
            await link.close()

    async def _open(self, link: "JetStream") -> None:
        errors: list[str] = []
        try:
            servers = _servers(self._url())
        except ValueError as error:
            # None: a word of the library could show what stands before the host.
            raise Transient(f"connecting to NATS: outbox.broker.url {error}") from None
        for server in servers:
            try:
                async with asyncio.timeout(self._timeout):
                    await link.wire.open(server, self._secured)
            except TimeoutError:
                errors.append(f"connecting to NATS at {server}: no answer within {self._timeout:g} s")
            except PillionError as error:
                errors.append(str(error))
            else:
                link.largest = int(link.wire.info.get("max_payload", 1048576)) - JetStream.HEADROOM
                return
            link.wire.close()
            link.renew()
        raise Transient("; ".join(errors))

    async def _check(self, wire: Wire, topics: frozenset[str]) -> tuple[str, ...]:
        # An update replaces all subjects, and can't be made to depend on what they were: the feeds of this
        # process take turns, and what another process put in its place meanwhile is seen by looking again.
        async with self._turn:
            for _ in range(_LOOKS):
                config = await self._ask(wire, "INFO", None)
                if config is None and not self._create:
                    raise Permanent(
                        f"looking at the JetStream stream {self._stream}: there is none; create it, or "
                        f"set outbox.broker.create"
                    )
                wanted = self._wanted(config, topics)
                if wanted is None:
                    if self._durable:
                        demand(f"looking at the JetStream stream {self._stream}", losses(config or {}))
                    return warnings(config or {})
                await self._ask(wire, "CREATE" if config is None else "UPDATE", wanted)
        raise Transient(f"giving the stream {self._stream} its subjects: somebody else takes them away again")

    def _wanted(self, config: dict[str, Any] | None, topics: frozenset[str]) -> dict[str, Any] | None:
        if config is None:
            return _new(self._stream, topics, replicas=3 if self._durable else 1)
        # Several feeds of one service share a stream; a wider pattern that is there already covers the
        # narrower.
        there = config.get("subjects") or []
        missing = {each for each in topics if not any(covers(old, each) for old in there)}
        if not missing or not self._create:
            return None
        kept = {each for each in there if not any(covers(new, each) for new in missing)}
        return {**config, "subjects": sorted(kept | missing)}

    async def _ask(self, wire: Wire, verb: str, config: dict[str, Any] | None) -> dict[str, Any] | None:
        body = msgspec.json.encode(config) if config is not None else b""
        answer = await wire.request(f"$JS.API.STREAM.{verb}.{self._stream}", body, self._timeout)
        doing = f"asking NATS about the stream {self._stream} ({verb.lower()})"
        try:
            said = _INFO.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Transient(f"{doing}: the answer can't be read; is JetStream on?") from None
        if said.error is None:
            return said.config
        if verb == "INFO" and said.error.err_code == NOT_FOUND:
            return None
        raise Transient(
            f"{doing}: the server says: {said.error.description} ({said.error.err_code or said.error.code})"
        )


def _new(stream: str, topics: frozenset[str], replicas: int) -> dict[str, Any]:
    return {
        "name": stream,
        "subjects": sorted(topics),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
    }


class JetStream:
    """A link to one stream."""

    HEADROOM = 16384
    """Bytes left for headers below the server's ``max_payload``; the server refuses what is larger still."""

    def __init__(self, stream: str, outcomes: Outcomes, timeout: float = 5.0) -> None:
        self.warnings: tuple[str, ...] = ()
        self.largest = 1048576 - self.HEADROOM
        self._stream = stream
        self._outcomes = outcomes
        self._timeout = timeout
        self._untaken = Untaken(
            stream, self._info, lambda number, reason: outcomes.later(number, reason, _LATER)
        )
        self.renew()

    async def close(self) -> None:
        """Send nothing more, tell nothing more."""
        self.wire.close()
        await self._untaken.close()

    def renew(self) -> None:
        """A fresh connection, not open yet."""
        inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._inbox = inbox
        self._known: dict[tuple[str, str, str, str, str, bool], tuple[bytes, str]] = {}
        self.wire = Wire(inbox, self._answered, self._outcomes.lost)

    def send(self, number: int, event: Event) -> None:
        """See ``brokers.Link.send``."""
        verb, common = self._common(event)
        head = self._head(common, event)
        size = len(head) + len(event.body)
        if size > self.largest + self.HEADROOM:
            raise RefusedError(f"it has {size} bytes with its headers, more than the server's max_payload")
        self.wire.send(b"%b%d %d %d\r\n%b%b\r\n" % (verb, number, len(head), size, head, event.body))

    async def answers(self) -> bool:
        """See ``brokers.Link.answers``. It is the stream's leader that is asked, who also stores events."""
        try:
            said = await self.wire.request(f"$JS.API.STREAM.INFO.{self._stream}", b"", self._timeout)
            return _INFO.decode(said).config is not None
        except (Transient, Permanent, msgspec.DecodeError, UnicodeDecodeError):
            return False

    async def _info(self) -> bytes:
        # Well before an event without an answer is taken for one that nobody heard.
        return await self.wire.request(f"$JS.API.STREAM.INFO.{self._stream}", b"", self._timeout / 4)

    def _common(self, event: Event) -> tuple[bytes, str]:
        """How the command begins, and the headers that events of one kind have in common."""
        kind = (event.topic, event.source, event.feed, event.type, event.content, not event.body)
        known = self._known.get(kind)
        if known is not None:
            return known
        source = encoded(event.source)
        head = (
            f"NATS/1.0\r\nNats-Expected-Stream: {self._stream}\r\nce-specversion: 1.0\r\nce-source: {source}\r\n"
            f"ce-type: {encoded(event.type)}\r\n"
        )
        if event.body:
            head += f"ce-datacontenttype: {event.content}\r\nContent-Type: {event.content}\r\n"
        head += f"Nats-Msg-Id: {source}/{encoded(event.feed)}/"
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[kind] = f"HPUB {event.topic} {self._inbox}.".encode(), head
        return self._known[kind]

    @staticmethod
    def _head(common: str, event: Event) -> bytes:
        identity = encoded(event.id)
        head = f"{common}{identity}\r\nce-id: {identity}\r\nce-sequence: {event.sequence}\r\n"
        if event.key is not None:
            key = encoded(event.key)
            head += f"ce-subject: {key}\r\nce-partitionkey: {key}\r\n" if key else "ce-partitionkey: \r\n"
        if event.time:
            head += f"ce-time: {event.time}\r\n"
        if event.traceparent:
            head += f"ce-traceparent: {event.traceparent}\r\n"
        if event.tracestate:
            head += f"ce-tracestate: {encoded(event.tracestate)}\r\n"
        return f"{head}\r\n".encode()

    def _answered(self, number: int, head: bytes, body: bytes) -> None:
        if head.startswith(_NO_STREAM):
            # Perhaps a stream that is being made, or one without a leader for a moment: not the event's fault.
            self._untaken.add(number)
            return
        try:
            ack = _ACK.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._outcomes.refused(number, "who answered is not JetStream", own=False)
            return
        if ack.error is not None:
            self._failed(number, ack.error)
        elif ack.stream != self._stream or ack.seq < 1:
            reason = f"it was not the stream {self._stream} that answered"
            self._outcomes.refused(number, reason, own=False)
        else:
            self._outcomes.acknowledged(number)

    def _failed(self, number: int, error: _Error) -> None:
        words = encoded(error.description).replace("%20", " ")[:200]
        reason = f"JetStream says: {words} ({error.err_code or error.code})"
        if error.err_code in _NO_ROOM and "per subject" not in error.description:
            # The event is not to blame, and the next one would fare no better.
            self._outcomes.lost(reason)
        else:
            self._outcomes.refused(number, reason, own=error.err_code in _TOO_LARGE)


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject of the pattern ``narrow`` is one of ``wide``."""
    left, right = wide.split("."), narrow.split(".")
    for place, part in enumerate(left):
        if part == ">":
            return len(right) > place
        if place >= len(right) or right[place] == ">" or (part not in ("*", right[place])):
            return False
    return len(left) == len(right)


def warnings(config: dict[str, Any]) -> tuple[str, ...]:
    """What makes the stream's acknowledgement less durable than it sounds."""
    if config.get("max_age", 0) <= 0:
        return losses(config)
    aged = "the stream drops events by their age, read or not; set max_age to 0 or be sure to read in time"
    return (*losses(config), aged)


def losses(config: dict[str, Any]) -> tuple[str, ...]:
    """Why the stream may lose what it acknowledged, however soon it is read. When the server writes to its disk
    (``sync_interval``) it tells nobody but its operator."""
    found = []
    if config.get("storage") == "memory":
        found.append("the stream is in memory: a restart of the server loses it; make it a file stream")
    if config.get("num_replicas", 1) < 3:
        found.append("the stream has less than 3 replicas: a lost disk loses events; set num_replicas to 3")
    limited = any(config.get(limit, -1) > 0 for limit in ("max_msgs", "max_bytes"))
    if config.get("discard") != "new" and limited:
        found.append("a full stream drops its oldest events; set discard: new")
    if config.get("retention", "limits") == "interest":
        found.append("the stream keeps an event only while a consumer wants it; set retention: limits")
    if config.get("max_msgs_per_subject", -1) > 0:
        found.append(
            "the stream keeps so many events a topic and drops the oldest; set max_msgs_per_subject to -1"
        )
    if config.get("persist_mode") == "async":
        found.append("the stream acknowledges before it writes; set persist_mode to default")
    if config.get("no_ack"):
        found.append("the stream does not acknowledge, so that nothing can be published; turn no_ack off")
    return tuple(found)
