"""RabbitMQ: each partition of a topic is a queue of its own, ``<consumer>.<topic>``, with one consumer.

A queue hands out again, and before all others, what a consumer had open when its connection ended; so the order of
the queue holds as long as one consumer reads it. Whoever takes a partition therefore waits until the queue has no
consumer any more: a former owner that is dead is found out by its heartbeat. A queue that is made here has a single
active consumer besides. An open message is kept unacknowledged, whatever the service says; where the server is tired
of that (``consumer_timeout``), it ends the channel, what the service works on is brought to its end, and all the rest
comes again.

Sources: RabbitMQ documentation, "Consumer Acknowledgements and Publisher Confirms", "Consumers" (delivery
acknowledgement timeout, single active consumer), "Quorum Queues" (delivery limit, order of returned messages);
CloudEvents 1.0, AMQP protocol binding.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aio_pika
from aio_pika import exceptions as said
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from agent.config.sections.inbox import InboxBroker
from agent.outbox.brokers import tls
from agent.outbox.brokers.headers import encoded
from agent.outbox.brokers.rabbitmq_connection import CLOSING, ERRORS, FORM, Connector, servers, words
from agent.outbox.inbox.message import Parcel, headers
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources import SELDOM, Stream
from agent.outbox.inbox.sources.basket import Basket
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem, Transient

TIMEOUT = 5.0
"""Seconds that the server may take for an answer."""
LOOK = 10.0
"""Seconds between two looks at who else consumes the queue."""
_LEAST_HEARTBEAT = 5
_PREFIXES = ("cloudEvents_", "cloudEvents:")


def make(settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> "RabbitMQ":
    """The source of these settings; raises Misconfigured."""
    try:
        servers(settings.url)
    except ValueError as error:
        raise Misconfigured([Problem("inbox.broker.url", str(error), FORM)]) from None
    secured = partial(tls.context, settings.ca_cert, "inbox.broker.ca_cert")
    heartbeat = max(int(lease), _LEAST_HEARTBEAT)
    connector = Connector("inbox.broker", read, secured, TIMEOUT, heartbeat)
    return RabbitMQ(connector, settings, consumer, lease)


class RabbitMQ:
    """A server or cluster."""

    name = "rabbitmq"
    keep_every = SELDOM

    def __init__(self, connector: Connector, settings: InboxBroker, consumer: str, lease: float) -> None:
        self._connector = connector
        self._settings = settings
        self._consumer = consumer
        self._lease = lease

    @asynccontextmanager
    async def open(self, place: Place, *, alone: bool) -> AsyncIterator[Stream]:
        """See ``sources.Source.open``."""
        name = f"{self._consumer}.{place.name}"
        doing = f"reading the queue {name} of RabbitMQ"
        basket = Basket()
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._connector.connection())
            async with self._connector.translated(doing):
                await self._prepare(connection, name, place, doing)
                channel = await connection.channel(publisher_confirms=False)
                await self._alone(connection, name, 0, doing)
                stream = _Stream(channel, basket, name, doing)
                await channel.set_qos(prefetch_count=self._settings.held)
                queue = await channel.get_queue(name, ensure=False)
                stack.push_async_callback(stream.settled, queue, await queue.consume(stream.took))
                await self._alone(connection, name, 1, doing, wait=self._pause() if alone else None)
            watch = asyncio.create_task(
                self._watch(connection, name, doing, basket), name=f"inbox {name} watch"
            )
            stack.push_async_callback(_ended, watch)
            yield stream

    async def _prepare(self, connection: AbstractConnection, name: str, place: Place, doing: str) -> None:
        # What is not there ends the channel that asked.
        try:
            await (await connection.channel()).declare_queue(name, passive=True)
        except said.ChannelNotFoundEntity:
            exchange = self._settings.exchange
            if not exchange:
                raise Permanent(
                    f"{doing}: there is none; create it and bind it to the exchange that has {place.name}, or set "
                    "inbox.broker.exchange"
                ) from None
            await self._make(connection, name, exchange, place)

    async def _make(self, connection: AbstractConnection, name: str, exchange: str, place: Place) -> None:
        channel = await connection.channel()
        try:
            await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, passive=True)
        except said.ChannelNotFoundEntity:
            raise Permanent(
                f"making the queue {name} of RabbitMQ: there is no exchange {exchange}; see inbox.broker.exchange"
            ) from None
        queue = await channel.declare_queue(name, durable=True, arguments=arguments(_version(connection)))
        await queue.bind(exchange, place.name)

    async def _alone(
        self, connection: AbstractConnection, name: str, consumers: int, doing: str, wait: float | None = None
    ) -> None:
        """Raise Transient where the queue has more consumers; ``wait`` in seconds, before the next try."""
        found = await _consumers(connection, name)
        if found > consumers:
            raise Transient(f"{doing}: another instance still consumes it", wait or self._lease / 4)

    def _pause(self) -> float:
        # Those that come in the same moment all go, and come back one after the other.
        return self._lease / 2 * (1 + secrets.randbelow(1000) / 1000)

    async def _watch(self, connection: AbstractConnection, name: str, doing: str, basket: Basket) -> None:
        """End the stream when the server has given up our consumer without closing the channel, or took another."""
        while not basket.ended:
            await asyncio.sleep(LOOK)
            try:
                async with self._connector.translated(doing):
                    found = await _consumers(connection, name)
            except PillionError as error:
                basket.end(error)
                return
            if found != 1:
                what = "another one consumes it, too" if found else "the server took its consumer away"
                basket.end(Transient(f"{doing}: {what}", self._lease / 4))


def arguments(version: int) -> dict[str, Any]:
    """Those of a queue that is made. From 4 on, a quorum queue drops what it has handed out 20 times in vain, and each
    connection that ends is one."""
    limit = {"x-delivery-limit": -1} if version >= 4 else {}
    return {"x-queue-type": "quorum", "x-single-active-consumer": True, **limit}


def _version(connection: AbstractConnection) -> int:
    transport = connection.transport
    told = transport.connection.server_properties.get("version", "") if transport is not None else ""
    first = str(told.decode() if isinstance(told, bytes) else told).partition(".")[0]
    return int(first) if first.isdecimal() else 0


async def _consumers(connection: AbstractConnection, name: str) -> int:
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(name, passive=True)
        return queue.declaration_result.consumer_count or 0
    finally:
        await channel.close()


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Stream:
    """See ``sources.Stream``."""

    def __init__(self, channel: AbstractChannel, basket: Basket, name: str, doing: str) -> None:
        self._basket = basket
        self._name = name
        self._doing = doing
        self._open: dict[int, AbstractIncomingMessage] = {}
        channel.close_callbacks.add(self._gone)  # called for the connection's end too

    async def took(self, message: AbstractIncomingMessage) -> None:
        """The server hands out a message."""
        number = message.delivery_tag
        if number is not None:
            self._open[number] = message
            self._basket.put([parcel(message, number, self._name)])

    async def fetch(self) -> Sequence[Parcel]:
        """See ``sources.Stream.fetch``."""
        return await self._basket.take()

    async def done(self, parcel: Parcel) -> None:
        """See ``sources.Stream.done``."""
        message = self._open.pop(parcel.number, None)
        if message is None or self._basket.ended:
            return
        try:
            await message.ack()
        except ERRORS as error:
            self._gone(None, error)

    async def settled(self, queue: AbstractQueue, consumer: str) -> None:
        """Let the acknowledgements arrive before the channel ends: it puts by those for a quorum queue that is behind,
        and forgets them with itself. To cancel a consumer it waits for the queue. While messages are open the consumer
        stays: without one the next owner would begin before they are back in their order. What was put by then comes
        again with them."""
        if self._open or self._basket.ended:
            return
        try:
            async with asyncio.timeout(CLOSING):
                await queue.cancel(consumer)
        except (*ERRORS, TimeoutError):
            return

    async def dead(self, parcel: Parcel) -> None:
        """See ``sources.Stream.dead``: acknowledged, too; it is kept by the inbox."""
        await self.done(parcel)

    async def keep(self, parcels: Sequence[Parcel]) -> None:
        """The server can't be told that a message is still worked on."""

    def _gone(self, _sender: object, error: BaseException | None = None) -> None:
        self._basket.end(Transient(f"{self._doing}: the channel ended: {words(error)}"))


def parcel(message: AbstractIncomingMessage, number: int, queue: str) -> Parcel:
    """A message as the inbox takes it; whatever is no CloudEvent's is left out."""
    attributes = dict(_attributes(message.headers or {}))
    given = encoded(message.message_id or "")
    # Two messages may be alike to the letter: without an id none is known again, so none is taken for another.
    token = given or secrets.token_hex(16)
    found = headers(attributes, message.content_type or "")
    return Parcel(number, message.routing_key or "", found, message.body, f"rabbitmq/{encoded(queue)}", token)


def _attributes(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, value in given.items():
        for prefix in _PREFIXES:
            if name.startswith(prefix) and isinstance(value, str | int | bytes):
                text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                found.append((name.removeprefix(prefix), text))
    return found
