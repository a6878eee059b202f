"""What only RabbitMQ has: alarms, queues that are full, queues that are not quorum queues."""

import uuid
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.outbox import brokers
from agent.outbox.brokers import rabbitmq
from agent.outbox.brokers.rabbitmq_routes import PATIENCE
from agent.outbox.delivery import Delivery
from tests.integration.outbox.brokers.carrier import Carrier, Counting, Patient, carrying, check, events
from tests.integration.outbox.brokers.rabbitmq_rig import RabbitRig
from tests.integration.outbox.brokers.rig import HURRIED, Rig
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("broker-rabbitmq")


@pytest.fixture
def rabbit(rigs: Callable[[str], Rig]) -> RabbitRig:
    rig = rigs("rabbitmq")
    assert isinstance(rig, RabbitRig)
    rig.start()
    return rig


@pytest.fixture
def place() -> str:
    return f"p{uuid.uuid4().hex[:10]}"


async def test_a_server_short_of_memory_is_away_until_it_has_some_again(
    rabbit: RabbitRig, place: str
) -> None:
    await rabbit.prepare(place)
    sent = events(place, 40, 10)
    broker = brokers.make(replace(rabbit.settings(place), timeout=HURRIED), "shop")
    sending = Patient(broker, topics=frozenset({f"{place}.orders"}), timeout=HURRIED)
    await rabbit.control("set_vm_memory_high_watermark", "absolute", "1")
    async with carrying(sending, sent):
        try:
            await until(lambda: sending.losses, within=60)
            assert sending.told == 0
        finally:
            await rabbit.control("set_vm_memory_high_watermark", "0.4")
    assert sending.refused == {}
    check(sent, await rabbit.read(place), duplicates=10 * sending.rounds)


async def test_a_full_queue_postpones_its_own_events_and_those_of_others_go_on_over_the_same_link(
    rabbit: RabbitRig, place: str
) -> None:
    await rabbit.make(place, topics="orders", **{"x-max-length": 5, "x-overflow": "reject-publish"})
    await rabbit.make(place, name=f"{place}.rest", topics="payments", **{"x-queue-type": "quorum"})
    orders = events(place, 20, 20)
    payments = [replace(each, topic=f"{place}.payments") for each in events(place, 20, 20, first=21)]
    payments = [replace(each, bucket=20 + each.bucket, key=f"p{each.row}") for each in payments]
    told = Counting(lambda: None)
    delivery = Delivery([*orders, *payments])
    broker = brokers.make(rabbit.settings(place), "shop")
    async with broker.link(told, frozenset({f"{place}.orders", f"{place}.payments"})) as link:
        await told.carry(delivery, link)
        failed = [delivery.events[number] for number in delivery.failed]
        assert failed
        assert {each.topic for each in failed} == {f"{place}.orders"}
        assert {each.row for each in delivery.events} - {each.row for each in failed} >= set(range(21, 41))
        assert all("full" in reason for reason in delivery.reasons.values())
        assert all(seconds >= 1 for seconds in delivery.delays.values())
        assert delivery.refusals == 0
        while failed:  # reading empties it
            await rabbit.read(place)
            again = Delivery(failed)
            await told.carry(again, link)
            failed = [again.events[number] for number in again.failed]
    stored = await rabbit.read(place)
    # Some twice: the last that were read may be there again, because the reader left before its acknowledgements.
    assert {each.attributes["id"] for each in stored} == {each.id for each in orders}
    assert len(await rabbit.read(f"{place}.rest")) == len(payments)


async def test_events_that_no_queue_takes_arrive_in_order_when_one_is_bound_and_others_do_not_wait(
    rabbit: RabbitRig, place: str
) -> None:
    await rabbit.make(place, name=f"{place}.rest", topics="payments")
    orders = events(place, 60, 20)
    payments = [replace(each, topic=f"{place}.payments") for each in events(place, 20, 20, first=101)]
    payments = [replace(each, bucket=20 + each.bucket, key=f"p{each.row}") for each in payments]
    sending = Patient(
        brokers.make(rabbit.settings(place), "shop"),
        topics=frozenset({f"{place}.orders", f"{place}.payments"}),
    )
    async with carrying(sending, [*orders, *payments]):
        await until(lambda: sending.told == len(payments) and sending.rounds > 1, within=30)
        assert all("no queue of the exchange takes the topic" in each for each in sending.reasons)
        await rabbit.make(place, topics="orders")
    assert (sending.losses, sending.refused) == ([], {})
    check(orders, await rabbit.read(place), duplicates=0)


async def test_a_topic_that_no_queue_takes_for_long_is_refused_until_one_does(
    rabbit: RabbitRig, place: str
) -> None:
    await rabbit.exchange(place)
    now = [0.0]
    broker = rabbitmq.make(rabbit.settings(place), "shop", clock=lambda: now[0])
    (event,) = events(place, 1)
    assert await Carrier(broker, topics=frozenset()).verdict(event) == ""
    now[0] = PATIENCE
    assert await Carrier(broker, topics=frozenset()).verdict(event) == "parked"
    await rabbit.make(place)
    await Carrier(broker, topics=frozenset()).carry([event])
    check([event], await rabbit.read(place), duplicates=0)
    await rabbit.unbind(place)
    assert await Carrier(broker, topics=frozenset()).verdict(event) == ""


@pytest.mark.parametrize(("kind", "word"), [("classic", "no quorum queue"), ("quorum", "")])
async def test_a_queue_that_is_on_one_node_only_is_warned_of(
    rabbit: RabbitRig, place: str, kind: str, word: str
) -> None:
    await rabbit.make(place, **{"x-queue-type": kind})
    broker = brokers.make(rabbit.settings(place), "shop")
    async with broker.link(Counting(lambda: None), frozenset({f"{place}.orders"})) as link:
        assert word in "".join(link.warnings)
        assert bool(word) == bool(link.warnings)
