"""What only RabbitMQ has: alarms, queues that are full, queues that are not quorum queues."""

import asyncio
import uuid
from collections.abc import Callable

import pytest

from agent.outbox import brokers
from tests.integration.outbox.brokers.carrier import Carrier, Counting, check, events
from tests.integration.outbox.brokers.rabbitmq_rig import RabbitRig
from tests.integration.outbox.brokers.rig import Rig
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


def carrier(rabbit: RabbitRig, place: str) -> Carrier:
    return Carrier(brokers.make(rabbit.settings(place), "shop"), topics=frozenset({f"{place}.orders"}))


async def test_a_server_short_of_memory_is_away_until_it_has_some_again(
    rabbit: RabbitRig, place: str
) -> None:
    await rabbit.prepare(place)
    sent = events(place, 40, 10)
    sending = carrier(rabbit, place)
    await rabbit.control("set_vm_memory_high_watermark", "absolute", "1")
    task = asyncio.create_task(sending.carry(sent, within=120))
    try:
        await until(lambda: sending.losses or task.done(), within=30)
        assert not task.done()
    finally:
        await rabbit.control("set_vm_memory_high_watermark", "0.4")
    await task
    assert sending.refused == {}
    check(sent, await rabbit.read(place), duplicates=10 * len(sending.losses))


async def test_a_full_queue_loses_the_link_and_no_event(rabbit: RabbitRig, place: str) -> None:
    await rabbit.make(place, **{"x-max-length": 5, "x-overflow": "reject-publish"})
    sent = events(place, 20, 2)
    sending = carrier(rabbit, place)
    task = asyncio.create_task(sending.carry(sent, within=60))
    await until(lambda: any("full" in each for each in sending.losses), within=30)

    async def all_there() -> bool:
        return len({each.attributes["id"] for each in await rabbit.read(place)}) == len(sent)

    await until(all_there, within=40)  # reading empties it
    await task
    assert sending.refused == {}


@pytest.mark.parametrize(("kind", "word"), [("classic", "no quorum queue"), ("quorum", "")])
async def test_a_queue_that_is_on_one_node_only_is_warned_of(
    rabbit: RabbitRig, place: str, kind: str, word: str
) -> None:
    await rabbit.make(place, **{"x-queue-type": kind})
    broker = brokers.make(rabbit.settings(place), "shop")
    async with broker.link(Counting(lambda: None), frozenset({f"{place}.orders"})) as link:
        assert word in "".join(link.warnings)
        assert bool(word) == bool(link.warnings)
