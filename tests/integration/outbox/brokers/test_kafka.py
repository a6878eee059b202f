"""What only Kafka has: batches, topics that are found while sending, keys that choose a partition."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.outbox import brokers
from tests.integration.outbox.brokers.carrier import Carrier, check, events
from tests.integration.outbox.brokers.kafka_rig import KafkaRig
from tests.integration.outbox.brokers.rig import HURRIED, Rig
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("broker-kafka")


@pytest.fixture
def kafka(rigs: Callable[[str], Rig]) -> KafkaRig:
    rig = rigs("kafka")
    assert isinstance(rig, KafkaRig)
    rig.start()
    return rig


@pytest.fixture
async def place(kafka: KafkaRig) -> str:
    name = f"p{uuid.uuid4().hex[:10]}"
    await kafka.prepare(name)
    return name


def any_topic(kafka: KafkaRig, place: str, *, create: bool = False) -> Carrier:
    """One that is told no topic beforehand."""
    broker = brokers.make(kafka.settings(place, create=create), "shop")
    return Carrier(broker, topics=frozenset({f"{place}.>"}))


async def test_a_batch_that_is_refused_for_one_event_is_sent_without_it(kafka: KafkaRig, place: str) -> None:
    await kafka.make_topic(f"{place}.small", max_message_bytes="3000")
    sent = [replace(each, topic=f"{place}.small") for each in events(place, 200, 40, size=1000)]
    sent[90] = replace(sent[90], body=b"x" * 2900)
    sending = any_topic(kafka, place)
    await sending.carry(sent)
    assert sending.losses == []
    assert list(sending.refused) == [sent[90].row], sending.refused
    check(sent[:90] + sent[91:], await kafka.read(place), duplicates=0)


async def test_an_event_without_a_key_is_refused_by_a_compacted_topic_and_the_others_are_not(
    kafka: KafkaRig, place: str
) -> None:
    await kafka.make_topic(f"{place}.compact", cleanup_policy="compact")
    sent = [replace(each, topic=f"{place}.compact") for each in events(place, 100, 20)]
    for place_of in (30, 31):
        sent[place_of] = replace(sent[place_of], key=None)
    sending = any_topic(kafka, place)
    await sending.carry(sent)
    assert sending.losses == []
    assert sorted(sending.refused) == [sent[30].row, sent[31].row], sending.refused
    # A relay's place is a bucket's, and an event without a key does not wait for the others of its bucket.
    check(sent[:30] + sent[32:], await kafka.read(place), duplicates=8)


async def test_a_topic_that_is_met_while_sending_and_missing_is_refused_with_its_name(
    kafka: KafkaRig, place: str
) -> None:
    sent = events(place, 30, 3)
    sent[10] = replace(sent[10], topic=f"{place}.nobody")
    sending = any_topic(kafka, place)
    await sending.carry(sent)
    assert sending.losses == []
    (reason,) = sending.refused.values()
    assert f"{place}.nobody" in reason
    assert "outbox.broker.create" in reason
    check(sent[:10] + sent[11:], await kafka.read(place), duplicates=0)


async def test_a_topic_that_is_met_while_sending_is_made_where_the_settings_say_so(
    kafka: KafkaRig, place: str
) -> None:
    sent = [replace(each, topic=f"{place}.new{each.row % 3}") for each in events(place, 30, 6)]
    sending = any_topic(kafka, place, create=True)
    await sending.carry(sent)
    assert (sending.losses, sending.refused) == ([], {})
    check(sent, await kafka.read(place), duplicates=0)


async def test_a_topic_that_is_deleted_loses_the_link_and_the_next_one_names_it(
    kafka: KafkaRig, place: str
) -> None:
    topic = f"{place}.orders"
    broker = brokers.make(replace(kafka.settings(place), timeout=HURRIED), "shop")

    def delete() -> None:
        admin = kafka.server.admin()
        admin.delete_topics([topic])[topic].result(20)

    sending = Carrier(broker, topics=frozenset({topic}), at=(100, delete), timeout=HURRIED)
    task = asyncio.create_task(sending.carry(events(place, 400, 40)))
    try:
        named = f"looking at Kafka's topic {topic}: there is none"
        await until(lambda: any(named in each for each in sending.losses), within=100)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert sending.refused == {}
    await kafka.prepare(place)
    left = events(place, 10, 5, first=1000)
    await sending.carry(left)
    check(left, await kafka.read(place), duplicates=0)


async def test_one_partition_has_all_events_of_a_key(kafka: KafkaRig, place: str) -> None:
    await any_topic(kafka, place).carry(events(place, 120, 12))
    found = await asyncio.to_thread(kafka.partitions, place)
    assert len({partition for partition, _ in found}) == 3
    assert len({key for _, key in found}) == len(set(found)) == 12


async def test_one_copy_and_a_limit_of_age_are_warned_of(kafka: KafkaRig, place: str) -> None:
    await kafka.make_topic(f"{place}.kept", retention_ms="-1")
    broker = brokers.make(kafka.settings(place), "shop")
    topics = frozenset({f"{place}.orders", f"{place}.kept"})
    async with broker.link(Carrier(broker, topics=topics).outcomes(), topics) as link:
        both = f"{place}.kept, {place}.orders: "
        few, copies = [each for each in link.warnings if each.startswith(both)]
        assert "set the replication factor to 3" in few
        assert "set min.insync.replicas to 2" in copies
        assert any(each.startswith(f"{place}.orders: the topic drops events") for each in link.warnings)


async def test_a_client_that_waits_does_not_hold_up_the_loop(kafka: KafkaRig, place: str) -> None:
    """A busy machine may hold up a loop now and then; a client that waits on the loop would at every link."""
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - before)

    broker = brokers.make(kafka.settings(place), "shop")
    watching = asyncio.create_task(watch())
    topics = frozenset({f"{place}.orders"})
    shares: list[float] = []
    try:
        for _ in range(5):
            began, longest = loop.time(), 0.0
            async with broker.link(Carrier(broker, topics=topics).outcomes(), topics) as link:
                await link.answers()
            shares.append(longest / (loop.time() - began))
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    assert min(shares) < 0.3, shares
