"""What the suite needs of each broker, over the servers of the brokers' own suite."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import aio_pika
from confluent_kafka import Consumer, TopicPartition
from nats.js.api import StreamConfig

from agent.outbox.inbox.sources import rabbitmq
from tests.integration.outbox.brokers.kafka_rig import KafkaRig
from tests.integration.outbox.brokers.nats_rig import connected
from tests.integration.outbox.brokers.rabbitmq_rig import RabbitRig
from tests.integration.outbox.brokers.redis_rig import RedisRig
from tests.integration.outbox.brokers.rig import PASSWORD, UNHURRIED, Rig, Way

CONSUMER = "stock"


class Feed(Protocol):
    """One broker. A place is as in the brokers' suite, with the topic ``<place>.orders``."""

    server: Rig

    def names(self, partitions: int) -> list[str]:
        """What follows ``<place>.orders`` in the topic of each partition."""

    async def prepare(self, place: str, partitions: int) -> None:
        """Make what the inbox of the consumer ``stock`` reads."""

    async def left(self, place: str, partitions: int) -> int:
        """How many messages the broker still has for that consumer, while no inbox runs."""

    def impatient(self) -> contextlib.AbstractAsyncContextManager[dict[str, Any]]:
        """For the body the broker hands out again what is not acknowledged within two seconds or so, where it has
        such a thing: what ``inbox.broker`` holds for that."""

    def section(self, place: str, way: Way, password: str) -> dict[str, Any]:
        """The section ``inbox.broker``."""


class _Feed:
    def __init__(self, server: Rig) -> None:
        self.server = server

    def names(self, partitions: int) -> list[str]:
        return [f".{number}" for number in range(partitions)] if partitions > 1 else [""]

    @contextlib.asynccontextmanager
    async def impatient(self) -> AsyncIterator[dict[str, Any]]:
        yield {}

    def section(self, place: str, way: Way = "plain", password: str = PASSWORD) -> dict[str, Any]:
        given = self.server.settings(place, way, password=password)
        return {"url": given.url, "ca_cert": given.ca_cert}


class NatsFeed(_Feed):
    async def prepare(self, place: str, partitions: int) -> None:
        stream = StreamConfig(name=place, subjects=[f"{place}.>"], duplicate_window=0.1)
        async with connected(self._url(place)) as client:
            await client.jetstream(timeout=UNHURRIED).add_stream(stream)

    async def left(self, place: str, partitions: int) -> int:
        async with connected(self._url(place)) as client:
            found = await client.jetstream(timeout=UNHURRIED).consumers_info(place)
        assert found
        return sum((each.num_ack_pending or 0) + (each.num_pending or 0) for each in found)

    @contextlib.asynccontextmanager
    async def impatient(self) -> AsyncIterator[dict[str, Any]]:
        yield {"ack_wait": 1.0}

    def _url(self, place: str) -> str:
        return self.server.settings(place).url


class KafkaFeed(_Feed):
    def names(self, partitions: int) -> list[str]:
        return [""]  # they are its own

    async def prepare(self, place: str, partitions: int) -> None:
        assert isinstance(self.server, KafkaRig)
        await self.server.make_topic(f"{place}.orders", partitions=partitions if partitions > 1 else 3)

    async def left(self, place: str, partitions: int) -> int:
        return await asyncio.to_thread(self._left, f"{place}.orders", partitions if partitions > 1 else 3)

    def _left(self, topic: str, partitions: int) -> int:
        assert isinstance(self.server, KafkaRig)
        consumer = Consumer(
            {
                "bootstrap.servers": f"127.0.0.1:{self.server.server.own}",
                "group.id": f"pillion-{CONSUMER}-{topic}",
            }
        )
        try:
            places = [TopicPartition(topic, number) for number in range(partitions)]
            known = consumer.committed(places, timeout=20)
            ends = [consumer.get_watermark_offsets(each, timeout=20)[1] for each in places]
            return sum(end - max(each.offset, 0) for end, each in zip(ends, known, strict=True))
        finally:
            consumer.close()


class RabbitFeed(_Feed):
    async def prepare(self, place: str, partitions: int) -> None:
        assert isinstance(self.server, RabbitRig)
        for name in self.names(partitions):
            await self.server.make(
                place,
                name=f"{CONSUMER}.{place}.orders{name}",
                topics=f"orders{name}",
                **rabbitmq.arguments(3),
            )

    async def left(self, place: str, partitions: int) -> int:
        count = 0
        async with await aio_pika.connect(self.server.settings(place).url) as connection:
            for name in self.names(partitions):
                queue = await (await connection.channel()).declare_queue(
                    f"{CONSUMER}.{place}.orders{name}", passive=True
                )
                count += queue.declaration_result.message_count or 0
        return count

    @contextlib.asynccontextmanager
    async def impatient(self) -> AsyncIterator[dict[str, Any]]:
        assert isinstance(self.server, RabbitRig)
        set_env = "application:set_env(rabbit, {}, {})."
        await self.server.control("eval", set_env.format("channel_tick_interval", 500))
        await self.server.control("eval", set_env.format("consumer_timeout", 1500))
        try:
            yield {}
        finally:
            await self.server.control("eval", set_env.format("channel_tick_interval", 60000))
            await self.server.control("eval", set_env.format("consumer_timeout", 1800000))


class RedisFeed(_Feed):
    async def prepare(self, place: str, partitions: int) -> None:
        assert isinstance(self.server, RedisRig)
        async with self.server.client() as client:
            for name in self.names(partitions):
                # A group of nobody's: the stream is there with it.
                await client.xgroup_create(f"{place}.orders{name}", "maker", mkstream=True)

    async def left(self, place: str, partitions: int) -> int:
        assert isinstance(self.server, RedisRig)
        count = 0
        async with self.server.client() as client:
            for name in self.names(partitions):
                key = f"{place}.orders{name}"
                groups = [
                    each for each in await client.xinfo_groups(key) if each["name"].startswith(b"pillion-")
                ]
                assert len(groups) == 1, groups
                newer = await client.xrange(key, f"({groups[0]['last-delivered-id'].decode()}")
                count += groups[0]["pending"] + len(newer)
        return count


FEEDS: Mapping[str, Callable[[Rig], Feed]] = {
    "nats": NatsFeed, "kafka": KafkaFeed, "rabbitmq": RabbitFeed, "redis": RedisFeed
}  # fmt: skip
