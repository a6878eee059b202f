"""A Kafka cluster of three: what is durable is taken, and a node that is killed loses nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from tests.integration.outbox.brokers.carrier import Patient, check, events
from tests.integration.outbox.brokers.kafka_cluster import KafkaCluster
from tests.integration.outbox.brokers.rig import UNHURRIED
from tests.integration.outbox.brokers.test_durable import REFUSED, refusal
from tests.waiting import until

pytestmark = pytest.mark.exclusive  # three servers in Java want the cores that they have


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[KafkaCluster]:
    found = await asyncio.to_thread(KafkaCluster, tmp_path)
    try:
        await found.start()
        yield found
    finally:
        await asyncio.to_thread(found.stop)


async def taken(settings: Broker, topic: str) -> None:
    """Wait until a link may be had: what one node knows of a new topic another may not know yet."""

    async def there() -> bool:
        said = await refusal(settings, topic)
        assert not said, said
        return True

    await until(there, within=60, every=0.5)


async def told(words: str, settings: Broker, topic: str) -> None:
    """Wait until the topic is known everywhere, and for nothing else: for what is wrong with it is told."""

    async def known() -> bool:
        said = await refusal(settings, topic, durable=False)
        assert not said, said
        said = await refusal(settings, topic)
        assert REFUSED in said, said
        assert words in said, said
        return True

    await until(known, within=60, every=0.5)


async def test_a_cluster_of_three_keeps_what_it_acknowledged_when_its_leader_is_killed(
    cluster: KafkaCluster,
) -> None:
    """One start of three servers for all of it: they take their time."""
    place = f"p{uuid.uuid4().hex[:10]}"
    topic = f"{place}.orders"
    settings = Broker(url=cluster.url, timeout=UNHURRIED)
    await cluster.make(topic, min_insync_replicas="2", retention_ms="-1")
    await taken(settings, topic)
    await cluster.make(f"{place}.two", 2, min_insync_replicas="2")
    await told("fewer than three replicas", settings, f"{place}.two")
    await cluster.make(f"{place}.single", min_insync_replicas="1")
    await told("min.insync.replicas to 2", settings, f"{place}.single")
    await cluster.make(f"{place}.unclean", min_insync_replicas="2", unclean_leader_election_enable="true")
    await told("may lead", settings, f"{place}.unclean")
    await taken(msgspec.structs.replace(settings, create=True), f"{place}.made")

    leader = await until(lambda: cluster.leader(topic), within=60)
    assert leader is not None
    sent = events(place, 4000, 40)
    carrier = Patient(
        brokers.make(settings, "shop", durable=True), topics=frozenset({topic}),
        at=(800, cluster.nodes[leader].kill),
    )  # fmt: skip
    await carrier.carry(sent, within=120)
    assert carrier.refused == {}
    await cluster.until_led_by_another(topic, leader)
    check(sent, await cluster.read(topic), duplicates=40 * carrier.rounds)
