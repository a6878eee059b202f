"""Apache Kafka: the partitions of a topic, of which the group ``pillion-<consumer>-<topic>`` remembers how far they are
done with.

Who may read a partition is decided by its lease, not by a rebalance of the group: an owner assigns itself what it
holds, and the group has no members. So a rebalance can't take away what a lease still gives, nor hand out what
somebody else still works on. A former owner that wakes may set the group's offset back, never ahead, because an
offset is committed only when all before it is on record: that costs messages that come twice and are known, and loses
none. Without leases (``alone``) the owner is a member of the group, and whoever comes waits until the group has none.

Sources: Apache Kafka documentation, "Consumer Configs", "Consumer Groups" and ``offsets.retention.minutes``;
librdkafka, INTRODUCTION.md and CONFIGURATION.md; CloudEvents 1.0, Kafka protocol binding.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agent.config.sections.inbox import InboxBroker
from agent.outbox.brokers import tls
from agent.outbox.brokers.kafka import access
from agent.outbox.inbox.message import Parcel
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources import SELDOM, Stream
from agent.outbox.inbox.sources.basket import Basket
from agent.outbox.inbox.sources.kafka_reader import PATIENCE, Errand, Reader
from agent.runtime.errors import Misconfigured, Problem, Transient

_LEAST_SESSION = 6.0
"""Seconds: what Kafka takes at least for a member's silence, unless it is told otherwise."""


def make(settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> "Kafka":
    """The source of these settings; raises Misconfigured."""
    try:
        access(settings.url)
    except ValueError as error:
        raise Misconfigured([Problem("inbox.broker.url", str(error), "kafka://HOST:PORT")]) from None
    return Kafka(settings, read, consumer, lease)


class Kafka:
    """A cluster."""

    name = "kafka"
    keep_every = SELDOM

    def __init__(self, settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> None:
        """``read`` is asked whenever a connection is made, so that changed credentials count."""
        self._settings = settings
        self._read = read
        self._consumer = consumer
        self._lease = lease

    @asynccontextmanager
    async def open(self, place: Place, *, alone: bool) -> AsyncIterator[Stream]:
        """See ``sources.Source.open``: a topic in several partitions is one topic of Kafka with as many; in one, all
        partitions that a topic has."""
        group = f"pillion-{self._consumer}-{place.topic}"
        errand = Errand(place, group, self._settings.held, self._settings.start, self._lease, alone)
        basket = Basket()
        reader = Reader(await asyncio.to_thread(self._access), self._config(group), errand, basket)
        try:
            await reader.begin()
            yield _Stream(reader, basket)
        finally:
            # The thread ends by itself where a dead cluster keeps it for longer.
            await asyncio.shield(asyncio.to_thread(reader.close))

    def _access(self) -> dict[str, Any]:
        try:
            config: dict[str, Any] = dict(access(self._read()))
        except ValueError as error:
            raise Transient(f"connecting to Kafka: inbox.broker.url {error}") from None
        if self._settings.ca_cert:
            tls.context(self._settings.ca_cert, "inbox.broker.ca_cert")
            config["ssl.ca.location"] = self._settings.ca_cert
        return {
            **config,
            "client.id": "pillion-inbox",
            "socket.timeout.ms": int(PATIENCE * 1000),
            "socket.connection.setup.timeout.ms": int(PATIENCE * 1000),
            "reconnect.backoff.max.ms": 1000,
            "log_level": 0,
        }

    def _config(self, group: str) -> dict[str, Any]:
        return {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Where an offset is not there any more: what is left of the messages is better read twice than never.
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": int(max(self._lease, _LEAST_SESSION) * 1000),
            "heartbeat.interval.ms": int(max(self._lease, _LEAST_SESSION) * 250),
            # A rebalance waits until what the service works on is done.
            "max.poll.interval.ms": 3600000,
            "queued.min.messages": min(max(self._settings.held, 1), 1000),
            "queued.max.messages.kbytes": 16384,
            "fetch.queue.backoff.ms": 50,
        }


class _Stream:
    """See ``sources.Stream``."""

    def __init__(self, reader: Reader, basket: Basket) -> None:
        self._reader = reader
        self._basket = basket

    async def fetch(self) -> Sequence[Parcel]:
        """See ``sources.Stream.fetch``."""
        return await self._basket.take()

    async def done(self, parcel: Parcel) -> None:
        """See ``sources.Stream.done``: the offset is committed when all before it is done, a moment later."""
        self._reader.done(parcel.number)

    async def dead(self, parcel: Parcel) -> None:
        """See ``sources.Stream.dead``."""
        self._reader.done(parcel.number)

    async def keep(self, parcels: Sequence[Parcel]) -> None:
        """Nothing runs out: the thread polls while the service works."""
