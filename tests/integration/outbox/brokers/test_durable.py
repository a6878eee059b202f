"""`outbox.require_durable`: a broker that may lose what it acknowledged is not published to, one that will not is."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.config.sections.outbox import Broker, Changes
from agent.outbox import brokers
from agent.runtime.errors import Misconfigured, PillionError
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.brokers.carrier import Carrier, Counting, events
from tests.integration.outbox.brokers.kafka_rig import KafkaRig
from tests.integration.outbox.brokers.nats_cluster import NatsCluster
from tests.integration.outbox.brokers.rabbitmq_rig import RabbitRig
from tests.integration.outbox.brokers.rig import Rig
from tests.waiting import until

REFUSED = "outbox.require_durable is set, and an acknowledged event may be lost: "


@pytest.fixture
def place() -> str:
    return f"p{uuid.uuid4().hex[:10]}"


async def refusal(settings: Broker, *topics: str, durable: bool = True) -> str:
    """Why no link is to be had; empty where it is."""
    broker = brokers.make(settings, "shop", durable=durable)
    try:
        async with broker.link(Counting(lambda: None), frozenset(topics)):
            return ""
    except PillionError as error:
        return str(error)


async def taken(settings: Broker, *topics: str, durable: bool = True) -> None:
    """Wait until a link is to be had: a server that is busy may not answer in time, and for nothing else."""

    async def had() -> bool:
        told = await refusal(settings, *topics, durable=durable)
        if REFUSED in told:
            pytest.fail(told)
        assert not told, told
        return True

    await until(had, within=60, every=0.2)


async def refused(settings: Broker, *topics: str) -> str:
    """Why it is refused for its durability, and for nothing else."""
    await taken(settings, *topics, durable=False)

    async def why() -> str:
        told = await refusal(settings, *topics)
        if not told:
            pytest.fail("a link was given")
        assert REFUSED in told, told
        return told

    return await until(why, within=60, every=0.2)


@pytest.mark.xdist_group("broker-nats-cluster")
class TestNats:
    """Streams of a cluster of three."""

    @pytest.fixture
    async def cluster(self, tmp_path: Path) -> AsyncIterator[NatsCluster]:
        found = NatsCluster(tmp_path)
        try:
            await found.start()
            yield found
        finally:
            await asyncio.to_thread(found.stop)

    async def test_a_stream_is_taken_only_with_three_replicas_on_disk_that_refuse_when_full(
        self, cluster: NatsCluster
    ) -> None:
        cases: dict[str, tuple[dict[str, Any], str]] = {
            "good": ({}, ""),
            "aged": ({"max_age": 3600}, ""),
            "full": ({"max_msgs": 100, "discard": "new"}, ""),
            "one": ({"num_replicas": 1}, "less than 3 replicas"),
            "memory": ({"storage": "memory"}, "in memory"),
            "old": ({"max_msgs": 100, "discard": "old"}, "drops its oldest events"),
            "subject": ({"max_msgs_per_subject": 5, "discard": "old"}, "so many events a topic"),
            "interest": ({"retention": "interest"}, "only while a consumer wants it"),
        }
        for name, (settings, word) in cases.items():
            await cluster.make(name, **settings)
            broker = Broker(url=cluster.url, stream=name, timeout=5.0)
            if word:
                assert word in await refused(broker, f"{name}.orders"), name
            else:
                await taken(broker, f"{name}.orders")

    async def test_a_stream_that_is_made_has_three_replicas(self, cluster: NatsCluster) -> None:
        broker = Broker(url=cluster.url, stream="made", create=True, timeout=5.0)
        await taken(broker, "made.orders")
        assert await refused(
            Broker(url=cluster.url, stream="plain", create=True, timeout=5.0), "plain.orders"
        )


@pytest.mark.xdist_group("broker-rabbitmq")
class TestRabbitMQ:
    """Queues of one node."""

    @pytest.fixture
    def rabbit(self, rigs: Callable[[str], Rig]) -> RabbitRig:
        rig = rigs("rabbitmq")
        assert isinstance(rig, RabbitRig)
        rig.start()
        return rig

    async def test_only_a_quorum_queue_is_taken(self, rabbit: RabbitRig, place: str) -> None:
        await rabbit.make(place, **{"x-queue-type": "quorum"})
        await taken(rabbit.settings(place), f"{place}.orders")
        await rabbit.make(f"{place}c", **{"x-queue-type": "classic"})
        assert "no quorum queue" in await refused(rabbit.settings(f"{place}c"), f"{place}c.orders")

    async def test_queues_that_cannot_be_seen_are_refused(self, rabbit: RabbitRig, place: str) -> None:
        await rabbit.exchange(place)
        assert "can't be seen" in await refused(rabbit.settings(place), f"{place}.orders")

    async def test_a_queue_that_is_made_is_a_quorum_queue(self, rabbit: RabbitRig, place: str) -> None:
        await taken(rabbit.settings(place, create=True), f"{place}.orders")


@pytest.mark.xdist_group("broker-kafka")
class TestKafka:
    """Topics of one broker; three of them are in ``test_kafka_cluster``."""

    @pytest.fixture
    def kafka(self, rigs: Callable[[str], Rig]) -> KafkaRig:
        rig = rigs("kafka")
        assert isinstance(rig, KafkaRig)
        rig.start()
        return rig

    async def test_a_topic_with_one_copy_is_refused(self, kafka: KafkaRig, place: str) -> None:
        await kafka.make_topic(f"{place}.orders", cleanup_policy="compact")
        told = await refused(kafka.settings(place), f"{place}.orders")
        for word in (
            "fewer than three replicas",
            "min.insync.replicas to 2",
            "the newest event of a key only",
        ):
            assert word in told

    async def test_a_topic_that_is_met_on_the_way_is_looked_at_too(self, kafka: KafkaRig, place: str) -> None:
        await kafka.make_topic(f"{place}.orders")
        broker = brokers.make(kafka.settings(place), "shop", durable=True)
        carrier = Carrier(broker, topics=frozenset({f"{place}.>"}))
        task = asyncio.create_task(carrier.carry(events(place, 5)))
        try:
            await until(lambda: any(REFUSED in each for each in carrier.losses), within=60)
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert (carrier.told, carrier.refused) == (0, {})
        assert await kafka.read(place) == []

    async def test_a_topic_is_not_made_with_less_than_is_asked_for(self, kafka: KafkaRig, place: str) -> None:
        told = await refusal(kafka.settings(place, create=True), f"{place}.orders")
        assert "making Kafka's topic" in told
        assert f"{place}.orders" not in kafka.server.admin().list_topics(timeout=10).topics


def test_http_tells_nothing_of_its_durability_and_so_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"outbox\.require_durable"):
        brokers.make(Broker(url="https://host/hook"), "shop", durable=True)


async def test_a_relay_publishes_nothing_until_the_stream_is_durable_and_says_why(bench: Bench) -> None:
    await bench.make_stream(max_msgs=1000)
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="t"),), require_durable=True)
    await bench.init(settings)
    await bench.service.execute("INSERT INTO t VALUES (1)")
    async with bench.relay(settings) as relay:

        async def said() -> bool:
            problem = (await relay.status())[0].problem
            return REFUSED in problem and "less than 3 replicas" in problem and "drops its oldest" in problem

        await until(said, within=60)
        assert await bench.count() == 0
    async with bench.relay(msgspec.structs.replace(settings, require_durable=False)):
        await bench.until_arrived(1)
