"""NATS JetStream: a pull consumer of explicit acknowledgement for each time that a partition is held.

Whoever takes a partition makes a consumer of its own that begins where the former one's acknowledgements end, and
deletes that one. So the messages that the former owner had open come again at once and in their order, and that owner,
should it wake, gets and acknowledges nothing any more. The position itself stays in the broker.

Sources: NATS documentation, "JetStream wire API reference" and "Consumers" (CONSUMER.CREATE, CONSUMER.LIST,
MSG.NEXT, acknowledgement types, status messages), ADR-13 (pull subscribe internals).
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from agent.config.sections.inbox import InboxBroker
from agent.outbox.brokers import tls
from agent.outbox.inbox.message import VALUE, Parcel, placed
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources import Stream
from agent.runtime.errors import Permanent, PillionError, Transient

TIMEOUT = 5.0
"""Seconds that the server may take for an answer."""
EXPIRES = 20.0
"""Seconds for which a request for messages stands; another follows it."""
HEARTBEAT = 3.0
"""Seconds between two signs of life while there is nothing."""
_SECOND = 1_000_000_000


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Sequence(msgspec.Struct):
    stream_seq: int = 0


class _Config(msgspec.Struct):
    opt_start_seq: int = 0


class _Consumer(msgspec.Struct):
    name: str = ""
    config: _Config = msgspec.field(default_factory=_Config)
    ack_floor: _Sequence = msgspec.field(default_factory=_Sequence)
    num_waiting: int = 0


class _Answer(msgspec.Struct):
    error: _Error | None = None
    streams: list[str] | None = None
    consumers: list[_Consumer] | None = None
    config: dict[str, Any] | None = None
    total: int = 0


_ANSWER = msgspec.json.Decoder(_Answer)


def make(settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> "JetStream":
    """The source of these settings."""
    return JetStream(settings, read, consumer, lease)


class JetStream:
    """The streams of a server or cluster; which one has a topic is asked."""

    name = "nats"

    def __init__(self, settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> None:
        """``read`` is asked whenever a connection is made, so that changed credentials count; ``lease`` is for how
        many seconds an owner without a sign of life is still waited for where nobody else guards the partition."""
        self._settings = settings
        self._read = read
        self._consumer = consumer
        self._lease = lease
        self.keep_every = settings.ack_wait / 3

    @asynccontextmanager
    async def open(self, place: Place, *, alone: bool) -> AsyncIterator[Stream]:
        """See ``sources.Source.open``: a spread topic is topics of its own."""
        topic = place.name
        lost = asyncio.Event()
        client = await self._connect(lost)
        try:
            with _translated(f"reading {topic} from NATS"):
                api = _Api(client)
                stream = await self._take(api, topic, alone=alone)
                await stream.begin(lost)
            yield stream
        finally:
            with suppress(Exception):  # what was acknowledged last is still to leave; if not, it comes again
                async with asyncio.timeout(2):
                    await client.flush(1)
            await client.close()

    async def _connect(self, lost: asyncio.Event) -> Client:
        async def gone() -> None:
            lost.set()

        async def quiet(_error: Exception) -> None:
            return

        servers = [each.strip() for each in self._read().split(",")]
        reasons = []
        for server in servers:
            # Read anew, so that a replaced file of CAs counts; a plain connection has no use for it.
            secured = (
                tls.context(self._settings.ca_cert, "inbox.broker.ca_cert")
                if server.startswith("tls:")
                else None
            )
            client = _Client()
            try:
                async with asyncio.timeout(TIMEOUT):
                    await client.connect(
                        server, name="pillion inbox", allow_reconnect=False, connect_timeout=int(TIMEOUT),
                        tls=secured, error_cb=quiet, closed_cb=gone, disconnected_cb=gone, ping_interval=5,
                    )  # fmt: skip
                    return client
            except (nats.errors.Error, OSError, TimeoutError) as error:
                await _abandon(client)
                reasons.append(_reason(error))
            except ValueError:
                # Its words may hold what stands before the host, and with it the password.
                reasons.append("its URL can't be read")
        raise Transient(f"connecting to NATS (inbox.broker.url): {'; '.join(reasons)}")

    async def _take(self, api: "_Api", topic: str, *, alone: bool) -> "_Stream":
        found = (await api.ask("STREAM.NAMES", {"subject": topic})).streams or []
        if not found:
            raise Permanent(f"reading {topic} from NATS: no stream has this subject; create it first")
        stream = found[0]
        base = f"pillion-{self._consumer}-{hashlib.sha256(topic.encode()).hexdigest()[:10]}-"
        former = await api.consumers(stream, base)
        if alone and former:
            await self._until_idle(api, stream, base, topic)
            former = await api.consumers(stream, base)
        name = f"{base}{1 + max((_turn(each.name) for each in former), default=0):08d}-{secrets.token_hex(4)}"
        retention = (await api.ask(f"STREAM.INFO.{stream}", None)).config or {}
        config = self._config(name, topic, former, queue=retention.get("retention") == "workqueue")
        if (
            "opt_start_seq" not in config and former
        ):  # a work queue has one consumer, and keeps what is left to do
            await api.delete(stream, former)
        await api.ask(
            f"CONSUMER.CREATE.{stream}.{name}.{topic}",
            {"stream_name": stream, "config": config, "action": "create"},
        )
        await self._alone(api, stream, base, name, yields=alone)
        return _Stream(api.client, stream, name, self._settings.held)

    async def _alone(self, api: "_Api", stream: str, base: str, name: str, *, yields: bool) -> None:
        """Delete the others' consumers; with ``yields`` the own one where another began at the same time, and later."""
        others = [each for each in await api.consumers(stream, base) if each.name != name]
        if yields and any(each.name > name for each in others):
            await api.delete(stream, [_Consumer(name)])
            raise Transient(
                f"reading the stream {stream} from NATS: another instance took it", self._lease / 2
            )
        await api.delete(stream, others)

    def _config(self, name: str, topic: str, former: Sequence[_Consumer], *, queue: bool) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": name,
            "durable_name": name,
            "filter_subject": topic,
            "ack_policy": "explicit",
            "ack_wait": int(self._settings.ack_wait * _SECOND),
            "max_ack_pending": self._settings.held,
            "max_deliver": -1,
            "max_waiting": 16,
            "deliver_policy": "all",
        }
        if queue:
            return config
        if former:
            floor = max(max(each.ack_floor.stream_seq, each.config.opt_start_seq - 1) for each in former)
            return {**config, "deliver_policy": "by_start_sequence", "opt_start_seq": floor + 1}
        return {**config, "deliver_policy": self._settings.start}

    async def _until_idle(self, api: "_Api", stream: str, base: str, topic: str) -> None:
        # Who has it always has a request for messages standing; the server forgets that with the connection.
        looks = 4
        for _ in range(looks):
            if any(each.num_waiting for each in await api.consumers(stream, base)):
                raise Transient(f"reading {topic} from NATS: another instance has it", self._lease / 2)
            await asyncio.sleep(self._lease / looks / 2)


async def _abandon(client: Client) -> None:
    """Close what a connection that was not to be has opened."""
    with suppress(nats.errors.Error, OSError, TimeoutError):
        async with asyncio.timeout(2):
            await client.close()


class _Client(Client):
    """The library's client, which by itself speaks TLS only to a server that insists on it, whatever the URL says: a
    server that merely offers it, or whoever stands between, would get the password in the clear."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and "tls" in self.options:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise nats.errors.Error("the server has no TLS, which the URL asks for")
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


def _turn(name: str) -> int:
    found = re.fullmatch(r".*-(\d{8,18})-[0-9a-f]{8}", name)
    return int(found[1]) if found else 0


class _Api:
    """JetStream's requests."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, verb: str, body: object) -> _Answer:
        """One request; raises Transient with the server's refusal."""
        data = msgspec.json.encode(body) if body is not None else b""
        reply = await self.client.request(f"$JS.API.{verb}", data, timeout=TIMEOUT)
        doing = f"asking NATS ({verb.split('.', 2)[0].lower()}.{verb.split('.', 2)[1].lower()})"
        try:
            answer = _ANSWER.decode(reply.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Transient(f"{doing}: the answer can't be read; is JetStream on?") from None
        if answer.error is not None:
            words = "".join(each if each.isprintable() else "?" for each in answer.error.description)[:200]
            raise Transient(f"{doing}: the server says: {words} ({answer.error.err_code})")
        return answer

    async def consumers(self, stream: str, base: str) -> list[_Consumer]:
        """The consumers whose names begin so."""
        found: list[_Consumer] = []
        seen = 0
        while True:
            answer = await self.ask(f"CONSUMER.LIST.{stream}", {"offset": seen})
            page = answer.consumers or []
            found += [each for each in page if each.name.startswith(base)]
            seen += len(page)
            if not page or seen >= answer.total:
                return found

    async def delete(self, stream: str, consumers: Sequence[_Consumer]) -> None:
        """Delete them; one that is gone already is as wanted."""
        for each in consumers:
            with suppress(Transient):
                await self.ask(f"CONSUMER.DELETE.{stream}.{each.name}", None)


class _Stream:
    """See ``sources.Stream``."""

    def __init__(self, client: Client, stream: str, name: str, held: int) -> None:
        self._client = client
        self._stream = stream
        self._name = name
        self._batch = held
        self._inbox = client.new_inbox()
        self._came: list[Parcel] = []
        self._open: dict[int, str] = {}
        self._wanted = 0
        self._woken = asyncio.Event()
        self._gone = ""
        self._lost = asyncio.Event()

    async def begin(self, lost: asyncio.Event) -> None:
        """Ask for the first messages."""
        self._lost = lost
        await self._client.subscribe(self._inbox, cb=self._took, pending_bytes_limit=1 << 31)
        await self._ask()

    async def fetch(self) -> Sequence[Parcel]:
        """See ``sources.Stream.fetch``."""
        doing = f"reading the stream {self._stream} of NATS"
        while not self._came:
            if self._gone or self._lost.is_set():
                raise Transient(f"{doing}: {self._gone or 'the connection is gone'}")
            self._woken.clear()
            try:
                async with asyncio.timeout(3 * HEARTBEAT):
                    await self._any()
            except TimeoutError:
                raise Transient(f"{doing}: no sign of life for {3 * HEARTBEAT:g} s") from None
            if self._wanted <= 0 and not self._gone:
                with _translated(doing):
                    await self._ask()
        came, self._came = self._came, []
        return came

    async def _any(self) -> None:
        waits = [asyncio.create_task(each.wait()) for each in (self._woken, self._lost)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def done(self, parcel: Parcel) -> None:
        """See ``sources.Stream.done``."""
        await self._tell(parcel, b"+ACK")

    async def dead(self, parcel: Parcel) -> None:
        """See ``sources.Stream.dead``."""
        await self._tell(parcel, b"+TERM")

    async def keep(self, parcels: Sequence[Parcel]) -> None:
        """See ``sources.Stream.keep``."""
        for parcel in parcels:
            reply = self._open.get(parcel.number)
            if reply is not None:
                await self._say(reply, b"+WPI")

    async def _tell(self, parcel: Parcel, word: bytes) -> None:
        reply = self._open.pop(parcel.number, None)
        if reply is not None:
            await self._say(reply, word)

    async def _say(self, reply: str, word: bytes) -> None:
        try:
            await self._client.publish(reply, word)
        except (nats.errors.Error, OSError) as error:
            self._end(_reason(error))

    async def _ask(self) -> None:
        self._wanted = self._batch
        asked = {
            "batch": self._batch,
            "expires": int(EXPIRES * _SECOND),
            "idle_heartbeat": int(HEARTBEAT * _SECOND),
        }
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}", msgspec.json.encode(asked), self._inbox
        )

    async def _took(self, msg: Msg) -> None:
        headers = {name.lower(): str(value) for name, value in (msg.headers or {}).items()}
        status = headers.get("status", "")
        if status and not msg.reply.startswith("$JS.ACK."):
            self._status(status, headers.get("description", ""))
        else:
            self._hand(msg, headers)
        self._woken.set()

    def _status(self, status: str, words: str) -> None:
        if status == "100":
            return
        if status in ("404", "408") or (status == "409" and "batch completed" in words.lower()):
            self._wanted = 0
            return
        said = "".join(each if each.isprintable() else "?" for each in words)[:100]
        self._end(f"the server says {status[:3]} {said}")

    def _hand(self, msg: Msg, headers: dict[str, str]) -> None:
        try:
            number = int(msg.metadata.sequence.stream)
        except (nats.errors.Error, ValueError, TypeError):
            return
        self._wanted -= 1
        known = number in self._open
        self._open[number] = msg.reply
        if (
            not known
        ):  # else it took longer than the server waits: the copy in hand goes on under the new reply
            self._came.append(
                Parcel(
                    number,
                    msg.subject,
                    headers,
                    msg.data,
                    f"nats/{self._stream}",
                    _token(number, headers, msg),
                )
            )

    def _end(self, reason: str) -> None:
        self._gone = self._gone or reason
        self._woken.set()


def _token(number: int, headers: dict[str, str], msg: Msg) -> str:
    given = headers.get("nats-msg-id", "")
    return given if given and VALUE.fullmatch(given) else placed(str(number), msg.data)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except PillionError:
        raise
    except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
        raise Transient(f"{doing}: {_reason(error)}; is the server up, and JetStream on?") from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
