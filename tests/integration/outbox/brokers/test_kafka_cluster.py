"""A Kafka cluster of three: what is durable is taken, and a node that is killed loses nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from tests.integration.outbox.brokers.carrier import Carrier, check, events
from tests.integration.outbox.brokers.kafka_cluster import KafkaCluster
from tests.integration.outbox.brokers.test_durable import refusal, refused

pytestmark = pytest.mark.exclusive  # three servers in Java want the cores that they have


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[KafkaCluster]:
    found = await asyncio.to_thread(KafkaCluster, tmp_path)
    try:
        await found.start()
        yield found
    finally:
        await asyncio.to_thread(found.stop)


async def test_a_cluster_of_three_keeps_what_it_acknowledged_when_its_leader_is_killed(
    cluster: KafkaCluster,
) -> None:
    """One start of three servers for all of it: they take their time."""
    place = f"p{uuid.uuid4().hex[:10]}"
    topic = f"{place}.orders"
    settings = Broker(url=cluster.url, timeout=5.0)
    await cluster.make(topic, min_insync_replicas="2", retention_ms="-1")
    assert not await refusal(settings, topic)
    await cluster.make(f"{place}.two", 2, min_insync_replicas="2")
    assert "fewer than three replicas" in await refused(settings, f"{place}.two")
    await cluster.make(f"{place}.single", min_insync_replicas="1")
    assert "min.insync.replicas to 2" in await refused(settings, f"{place}.single")
    await cluster.make(f"{place}.unclean", min_insync_replicas="2", unclean_leader_election_enable="true")
    assert "may lead" in await refused(settings, f"{place}.unclean")
    made = Broker(url=cluster.url, timeout=5.0, create=True)
    assert not await refusal(made, f"{place}.made"), "what is made is durable"

    leader = await asyncio.to_thread(cluster.leader, topic)
    sent = events(place, 4000, 40)
    carrier = Carrier(
        brokers.make(settings, "shop", durable=True), topics=frozenset({topic}),
        at=(800, cluster.nodes[leader].kill),
    )  # fmt: skip
    await carrier.carry(sent, within=120)
    assert carrier.refused == {}
    assert await asyncio.to_thread(cluster.leader, topic) != leader
    check(sent, await cluster.read(topic), duplicates=40 * len(carrier.losses))
