"""RabbitMQ: a topic exchange, whose name is ``outbox.broker.stream``. An event is acknowledged when every queue
that takes it has stored it; the confirm says so.

Sources: RabbitMQ documentation, "Consumer Acknowledgements and Publisher Confirms", "Queues" and "Memory and Disk
Alarms"; CloudEvents 1.0, AMQP protocol binding (the prefix of application properties).
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aio_pika
from aio_pika import exceptions as said
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange

from agent.config.secret import Secret
from agent.config.sections.outbox import Broker as Settings
from agent.outbox.brokers import Link, Outcomes, tls
from agent.outbox.brokers.durable import demand
from agent.outbox.brokers.rabbitmq_connection import CLOSING, ERRORS, FORM, Connector, servers, words
from agent.outbox.brokers.rabbitmq_routes import PATIENCE, Routes
from agent.outbox.events import Event, RefusedError
from agent.runtime.errors import Misconfigured, Permanent, Problem

_EXCHANGE = re.compile(r"(?!amq\.)[^\s\x00-\x1f\x7f]{1,127}")
_TOO_LARGE = re.compile(r"message size (\d+) is larger than (?:configured )?max size (\d+)")
_FORBIDDEN = re.compile(r"access to topic '([^']*)' in exchange")
_HEADERS = 100000
"""Bytes of headers that surely fit into one frame, as they must."""
_SHORT = 255
_LATER = 1.0
"""Seconds until an event that a queue did not take is tried again."""


def make(
    settings: Settings, service: str, *, durable: bool = False, clock: Callable[[], float] = time.monotonic
) -> "RabbitMQ":
    """The broker of these settings; ``clock`` returns seconds. Raises Misconfigured."""
    problems = []
    try:
        servers(settings.url)
    except ValueError as error:
        problems.append(Problem("outbox.broker.url", str(error), FORM))
    exchange = settings.stream or service
    if not _EXCHANGE.fullmatch(exchange):
        problems.append(
            Problem(
                "outbox.broker.stream", f"is {exchange!r}", "an exchange's name that is not RabbitMQ's own"
            )
        )
    if problems:
        raise Misconfigured(problems)
    connector = Connector(
        "outbox.broker", Secret.of(settings, "outbox.broker.url").read, partial(tls.context, settings.ca_cert),
        settings.timeout,
    )  # fmt: skip
    return RabbitMQ(connector, exchange, Routes(clock), create=settings.create, durable=durable)


class RabbitMQ:
    """A topic exchange."""

    name = "rabbitmq"

    def __init__(
        self, connector: Connector, exchange: str, routes: Routes, *, create: bool, durable: bool = False
    ) -> None:
        """``durable``: a queue that may lose what it confirmed, or can't be seen, is refused."""
        self._durable = durable
        self._connector = connector
        self._exchange = exchange
        self._routes = routes
        self._create = create
        self._limit = Limit()

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:
        """See ``brokers.Broker.link``."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._connector.connection())
            doing = f"looking at RabbitMQ's exchange {self._exchange}"
            async with self._connector.translated(doing):
                warnings = await self._prepare(connection, topics)
                if self._durable:
                    demand(doing, warnings)
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                exchange = await self._declared(channel)
            link = Exchange(
                channel, exchange, outcomes, self._limit, self._routes, timeout=self._connector.timeout
            )
            link.warnings = warnings
            stack.push_async_callback(link.close)
            yield link

    async def _declared(self, channel: AbstractChannel) -> AbstractExchange:
        return await channel.declare_exchange(self._exchange, aio_pika.ExchangeType.TOPIC, passive=True)

    async def _prepare(self, connection: AbstractConnection, topics: frozenset[str]) -> tuple[str, ...]:
        # What is not there ends the channel that asked.
        try:
            await self._declared(await connection.channel())
        except said.ChannelNotFoundEntity:
            if not self._create:
                raise Permanent(
                    f"looking at RabbitMQ's exchange {self._exchange}: there is none; create it, or set "
                    "outbox.broker.create"
                ) from None
            await self._make(await connection.channel(), topics)
        return await self._queue_warnings(connection)

    async def _make(self, channel: AbstractChannel, topics: frozenset[str]) -> None:
        """The exchange, and a queue of the same name that takes all topics."""
        exchange = await channel.declare_exchange(self._exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(self._exchange, durable=True, arguments=_QUORUM)
        for topic in topics:
            await queue.bind(exchange, topic.replace(">", "#"))

    async def _queue_warnings(self, connection: AbstractConnection) -> tuple[str, ...]:
        """Only a queue of the exchange's name can be looked at: AMQP tells of no others."""
        try:
            await (await connection.channel()).declare_queue(self._exchange, passive=True)
            await (await connection.channel()).declare_queue(self._exchange, durable=True, arguments=_QUORUM)
        except said.ChannelPreconditionFailed:
            return (
                f"the queue {self._exchange} is no quorum queue: the loss of a node may lose events; make it one",
            )
        except said.ChannelClosed:
            return (f"which queues take the events of {self._exchange} {_UNSEEN}",)
        return ()


_QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
_UNSEEN = "can't be seen from here; make them quorum queues, without a limit of length or age"


class Limit:
    """The largest body of the server, which it tells only when it refuses one."""

    def __init__(self) -> None:
        self.bytes = 16777216
        """RabbitMQ 4's own default."""


class Exchange:
    """A link to one exchange."""

    def __init__(
        self,
        channel: AbstractChannel,
        exchange: AbstractExchange,
        outcomes: Outcomes,
        limit: Limit,
        routes: Routes,
        *,
        timeout: float,
    ) -> None:
        self.warnings: tuple[str, ...] = ()
        self.largest = limit.bytes
        self._limit = limit
        self._routes = routes
        self._exchange = exchange
        self._outcomes = outcomes
        self._timeout = timeout
        self._over = False
        self._flying: dict[int, Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel = channel
        channel.close_callbacks.add(self._ended)  # called for the connection's end too

    def send(self, number: int, event: Event) -> None:
        """See ``brokers.Link.send``."""
        if len(event.body) > self._limit.bytes:
            raise RefusedError(f"its body of {len(event.body)} bytes is larger than the server takes")
        if len(event.topic.encode()) > _SHORT:
            raise RefusedError(f"its topic is longer than {_SHORT} bytes")
        message = _message(event)
        if self._over:
            return
        self._flying[number] = event
        task = asyncio.get_running_loop().create_task(
            self._publish(number, message, event.topic), name="rabbitmq publish"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def answers(self) -> bool:
        """See ``brokers.Link.answers``. Never while something is in flight: each event has its confirm, so that
        nothing is passed by, and a server that holds confirms back is full."""
        if self._over or self._flying:
            return False
        try:
            async with asyncio.timeout(self._timeout):
                await self._channel.declare_exchange(self._exchange.name, passive=True)
        except (*ERRORS, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """Send nothing more, tell nothing more."""
        self._over = True
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING)

    async def _publish(self, number: int, message: aio_pika.Message, topic: str) -> None:
        try:
            await self._exchange.publish(message, topic, mandatory=True)
        except said.PublishError:
            self._untaken(number, topic)
        except said.DeliveryError:
            # Of this event alone: another queue may be well.
            self._postpone(number, f"a queue that takes the topic {topic} is full or fails")
        except ERRORS as error:
            self._failed(error)
        else:
            self._routes.taken(topic)
            if self._flying.pop(number, None) is not None and not self._over:
                self._outcomes.acknowledged(number)

    def _untaken(self, number: int, topic: str) -> None:
        if self._routes.may_return(topic):
            self._postpone(number, f"no queue of the exchange takes the topic {topic} just now; bind one")
        else:
            self._refuse(number, f"no queue of the exchange took its topic for {PATIENCE:g} s", own=False)

    def _refuse(self, number: int, reason: str, *, own: bool = True) -> None:
        if self._flying.pop(number, None) is not None and not self._over:
            self._outcomes.refused(number, reason, own=own)

    def _postpone(self, number: int, reason: str) -> None:
        if self._flying.pop(number, None) is not None and not self._over:
            self._outcomes.later(number, f"RabbitMQ did not take the event: {reason}", _LATER)

    def _ended(self, _sender: object, error: BaseException | None = None) -> None:
        self._failed(error)

    def _failed(self, error: BaseException | None) -> None:
        """The channel or the connection ended. Where the server names what was wrong with one event, all that
        are like it are refused; nothing is known of the others."""
        if self._over:
            return
        text = words(error)
        size, topic = _TOO_LARGE.search(text), _FORBIDDEN.search(text)
        if size:
            self._limit.bytes = min(self._limit.bytes, int(size[2]))
        for number, event in list(self._flying.items()):
            if size and len(event.body) > int(size[2]):
                self._refuse(
                    number, f"RabbitMQ takes {size[2]} bytes at most, its body has {len(event.body)}"
                )
            elif topic and event.topic == topic[1]:
                self._refuse(number, "RabbitMQ lets nobody of our user write to its topic", own=False)
        self._lose(f"the channel to RabbitMQ ended: {text}")

    def _lose(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._outcomes.lost(reason)


def _message(event: Event) -> aio_pika.Message:
    found = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "sequence": event.sequence,
        "time": event.time,
        "traceparent": event.traceparent,
        "tracestate": event.tracestate,
        "subject": event.key or "",
    }
    headers: dict[str, Any] = {f"cloudEvents_{name}": value for name, value in found.items() if value}
    if event.key is not None:
        headers["cloudEvents_partitionkey"] = event.key
    if sum(len(value.encode()) for value in headers.values()) > _HEADERS:
        raise RefusedError(f"its attributes have more than {_HEADERS} bytes")
    return aio_pika.Message(
        event.body,
        headers=headers,
        content_type=event.content if event.body else None,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=token(event),
    )


def token(event: Event) -> str:
    """The message's id: the event's with where it is from, or a digest of that where it is too long."""
    text = f"{event.source}/{event.feed}/{event.id}"
    return text if len(text.encode()) <= _SHORT else hashlib.sha256(text.encode()).hexdigest()
