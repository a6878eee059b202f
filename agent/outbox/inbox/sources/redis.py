"""Redis Streams: each partition of a topic is a stream of its own, read by a group for each time that it is held.

Two connections: on one a read waits, on the other entries are acknowledged. Source: Redis documentation, XREADGROUP,
XACK.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from agent.config.sections.inbox import InboxBroker
from agent.outbox.brokers import tls
from agent.outbox.brokers.headers import encoded
from agent.outbox.brokers.redis import Server
from agent.outbox.brokers.redis_wire import Refusal, Reply
from agent.outbox.inbox.message import Parcel, headers, placed
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources import Stream
from agent.outbox.inbox.sources.basket import Basket
from agent.outbox.inbox.sources.redis_group import Id, Wish, take
from agent.outbox.inbox.sources.resp import Asking, asking, refused
from agent.runtime.errors import Misconfigured, PillionError, Problem, Transient

AT_ONCE = 50
"""Entries that are read at once."""
_CONSUMER = "inbox"
_BEHIND_ALL = f"{(1 << 64) - 1}-{(1 << 64) - 2}"
"""Behind all entries that were handed out. The largest id of all would be taken for ``>``, and hand out a new one."""


def make(settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> "Redis":
    """The source of these settings; raises Misconfigured."""
    try:
        Server.parse(settings.url)
    except ValueError as error:
        raise Misconfigured([Problem("inbox.broker.url", str(error))]) from None
    return Redis(settings, read, consumer, lease)


class Redis:
    """A server, or a primary with its replicas."""

    name = "redis"

    def __init__(self, settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> None:
        """``read`` is asked whenever a connection is made, so that changed credentials count."""
        self._settings = settings
        self._read = read
        self._consumer = consumer
        self._lease = lease
        self.keep_every = lease / 4

    @asynccontextmanager
    async def open(self, place: Place, *, alone: bool) -> AsyncIterator[Stream]:
        """See ``sources.Source.open``."""
        key = place.name
        doing = f"reading the stream {key} of Redis"
        try:
            server = Server.parse(self._read())
        except ValueError as error:
            raise Transient(f"connecting to Redis: inbox.broker.url {error}") from None
        secured = partial(tls.context, self._settings.ca_cert, "inbox.broker.ca_cert")
        base = f"pillion-{self._consumer}-"
        start = "0" if self._settings.start == "all" else "$"
        async with AsyncExitStack() as stack:
            link = partial(asking, doing, server, secured() if server.tls else None)
            reads, words = await stack.enter_async_context(link()), await stack.enter_async_context(link())
            wish = Wish(base, start, self._lease if alone else None, self._lease / 2)
            group = await take(words, key, wish)
            stream = _Stream(reads, words, _Where(key, group, doing), self._settings.held)
            reading = asyncio.create_task(stream.read(self._lease / 4), name=f"inbox {key} read")
            stack.push_async_callback(_ended, reading)
            yield stream


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True)
class _Where:
    key: str
    group: str
    doing: str


class _Stream:
    """See ``sources.Stream``."""

    def __init__(self, reads: Asking, words: Asking, where: _Where, held: int) -> None:
        self._reads = reads
        self._words = words
        self._key, self._group, self._doing = where.key, where.group, where.doing
        self._held = held
        self._basket = Basket()
        self._open: dict[int, Id] = {}
        self._room = asyncio.Event()

    async def read(self, most: float) -> None:
        """Fill the basket until it ends; a read waits for ``most`` seconds."""
        try:
            while True:
                self._room.clear()
                room = min(self._held - len(self._open), AT_ONCE)
                if room > 0:
                    self._basket.put(await self._more(room, min(most, 1.0)))
                else:
                    await self._room.wait()
        except PillionError as error:
            self._basket.end(error)

    async def _more(self, count: int, seconds: float) -> list[Parcel]:
        reply = await self._reads.ask(
            "XREADGROUP", "GROUP", self._group, _CONSUMER, "COUNT", str(count),
            "BLOCK", str(max(int(seconds * 1000), 1)), "STREAMS", self._key, ">", waits=seconds,
        )  # fmt: skip
        if isinstance(reply, Refusal):
            if reply.code in ("NOGROUP", "UNBLOCKED"):
                raise Transient(f"{self._doing}: another instance took it, or the stream is gone")
            raise refused(self._doing, reply)
        try:
            return list(self._parcels(reply))
        except (ValueError, TypeError) as error:
            raise Transient(f"{self._doing}: the answer can't be read") from error

    def _parcels(self, reply: Reply) -> Iterator[Parcel]:
        match reply:
            case None:
                return
            case [[bytes(), list(entries)]]:
                for entry in entries:
                    match entry:
                        case [bytes(given), list(fields)]:
                            found = parcel(Id.parse(given), fields, self._key)
                            self._open[found.number] = Id.parse(given)
                            yield found
                        case _:
                            raise ValueError("no entry")
            case _:
                raise ValueError("no entries")

    async def fetch(self) -> Sequence[Parcel]:
        """See ``sources.Stream.fetch``."""
        return await self._basket.take()

    async def done(self, parcel: Parcel) -> None:
        """See ``sources.Stream.done``."""
        identity = self._open.pop(parcel.number, None)
        self._room.set()
        if identity is None or self._basket.ended:
            return
        try:
            await self._words.must("XACK", self._key, self._group, str(identity))
        except PillionError as error:
            self._basket.end(error)

    async def dead(self, parcel: Parcel) -> None:
        """See ``sources.Stream.dead``."""
        await self.done(parcel)

    async def keep(self, parcels: Sequence[Parcel]) -> None:  # noqa: ARG002
        """See ``sources.Stream.keep``: asking for nothing shows that this consumer lives, also where it reads nothing
        because enough is open."""
        try:
            await self._words.ask(
                "XREADGROUP", "GROUP", self._group, _CONSUMER, "COUNT", "1", "STREAMS", self._key, _BEHIND_ALL
            )
        except PillionError as error:
            self._basket.end(error)


def parcel(identity: Id, fields: Sequence[Reply], key: str) -> Parcel:
    """An entry as the inbox takes it. One that is no CloudEvent is posted as a JSON object of its fields; raises
    ValueError for what is no entry."""
    texts = [each for each in fields if isinstance(each, bytes)]
    if len(texts) != len(fields) or len(texts) % 2:
        raise ValueError("no fields")
    found = {
        name.decode(errors="replace"): value for name, value in zip(texts[::2], texts[1::2], strict=True)
    }
    number = identity.milliseconds << 64 | identity.sequence
    origin = f"redis/{encoded(key)}"
    if "specversion" not in found:
        plain = {name: value.decode(errors="replace") for name, value in found.items()}
        body = json.dumps(plain).encode()
        return Parcel(number, key, headers({}, "application/json"), body, origin, placed(str(identity), body))
    body = found.pop("data", b"")
    content = found.pop("datacontenttype", b"").decode(errors="replace")
    attributes = {name: value.decode(errors="replace") for name, value in found.items()}
    return Parcel(number, key, headers(attributes, content), body, origin, placed(str(identity), body))
