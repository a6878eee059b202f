"""What every broker keeps, shown on its real server."""

import asyncio
import time
import uuid
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agent.outbox import brokers
from agent.outbox.brokers import Broker
from agent.runtime.errors import PillionError
from tests.integration.outbox.brokers.carrier import (
    TRACEPARENT,
    Carrier,
    Counting,
    Patient,
    check,
    events,
    linked,
)
from tests.integration.outbox.brokers.proxy import Proxy
from tests.integration.outbox.brokers.rig import HURRIED, PASSWORD, WRONG, Rig, Way
from tests.waiting import until

KEYS = 50
MANY = 2000


def made(rig: Rig, place: str, way: Way = "plain", *, create: bool = False, hurried: bool = False) -> Broker:
    """The broker as the wiring makes it."""
    settings = rig.settings(place, way, create=create)
    if hurried:
        settings = msgspec.structs.replace(settings, timeout=HURRIED)
    return brokers.make(settings, "shop")


def topics(place: str) -> frozenset[str]:
    """What the suite sends, as patterns."""
    return frozenset({f"{place}.orders"})


def carrier(rig: Rig, place: str, *ways: Way) -> Carrier:
    """One that goes these ways."""
    return Carrier(*(made(rig, place, way) for way in ways or ("plain",)), topics=topics(place))


def hurried(rig: Rig, place: str, *ways: Way, **more: Any) -> Patient:
    """One that goes these ways, soon gives up an answer that does not come, and sends again what was not taken."""
    found = (made(rig, place, way, hurried=True) for way in ways or ("plain",))
    return Patient(*found, topics=topics(place), timeout=HURRIED, **more)


async def opened(broker: Broker, place: str) -> str:
    """The error that a link ends in before it begins, empty without one."""
    try:
        async with asyncio.timeout(60), broker.link(Counting(lambda: None), topics(place)):
            return ""
    except PillionError as error:
        return str(error)


async def told(broker: Broker, place: str, word: str) -> str:
    """The error of a link, when it is the one with the word: a server under load may not answer in time."""

    async def right() -> str:
        said = await opened(broker, place)
        assert word in said.lower(), said
        return said

    return await until(right, within=60)


async def test_an_event_arrives_with_its_attributes_key_and_body(rig: Rig, place: str) -> None:
    event = replace(
        events(place, 1)[0],
        key="grün & 5%",
        traceparent=TRACEPARENT,
        tracestate="a=b,c=d",
        body=b"\x00\xff\r\n",
    )
    await carrier(rig, place).carry([event])
    (stored,) = await rig.read(place)
    assert stored.topic == event.topic
    assert stored.body == event.body
    assert stored.attributes == {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.key,
        "partitionkey": event.key,
        "time": event.time,
        "datacontenttype": event.content,
        "traceparent": TRACEPARENT,
        "tracestate": "a=b,c=d",
        "sequence": event.sequence,
    }


async def test_an_event_without_key_and_body_arrives_without_them(rig: Rig, place: str) -> None:
    event = replace(events(place, 1)[0], key=None, body=b"", time="")
    await carrier(rig, place).carry([event])
    (stored,) = await rig.read(place)
    assert stored.key is None
    assert stored.body == b""
    absent = {"subject", "partitionkey", "time", "traceparent", "tracestate"}
    assert not absent & set(stored.attributes)
    assert stored.attributes["id"] == event.id


async def test_the_order_of_each_key_is_kept_and_nothing_comes_twice(rig: Rig, place: str) -> None:
    sent = events(place, MANY, KEYS)
    sending = carrier(rig, place)
    await sending.carry(sent)
    assert (sending.losses, sending.refused) == ([], {})
    check(sent, await rig.read(place), duplicates=0)


async def test_an_event_that_is_sent_again_has_the_same_token(rig: Rig, place: str) -> None:
    (event,) = events(place, 1)
    for _ in range(2):
        await carrier(rig, place).carry([event])
        await asyncio.sleep(0.2)  # longer than a place's memory for duplicates, where it has one
    stored = await rig.read(place)
    assert len({each.token for each in stored}) == 1
    assert len({each.attributes["id"] for each in stored}) == 1


async def test_the_largest_body_is_taken(rig: Rig, place: str) -> None:
    broker = made(rig, place)
    async with linked(broker, topics(place)) as link:
        largest = min(link.largest, rig.oversize - 1)
    sending = Carrier(broker, topics=topics(place))
    (event,) = events(place, 1, size=largest)
    await sending.carry([event])
    assert (sending.losses, sending.refused) == ([], {})
    check([event], await rig.read(place), duplicates=0)


async def test_a_body_that_is_too_large_is_refused_and_the_others_go_on(rig: Rig, place: str) -> None:
    sent = events(place, 60, 20)
    sent[30] = replace(sent[30], body=b"secret-hunter2".ljust(rig.oversize))
    sending = carrier(rig, place)
    await sending.carry(sent)
    assert await sending.verdict(sent[30]) == "skipped"
    assert list(sending.refused) == [sent[30].row]
    assert "hunter2" not in "".join([*sending.refused.values(), *sending.losses])
    check(sent[:30] + sent[31:], await rig.read(place), duplicates=20 * len(sending.losses))


@pytest.mark.needs("refusing")
async def test_what_the_server_refuses_is_told_without_its_body_and_the_others_go_on(
    rig: Rig, place: str
) -> None:
    marks = await rig.refusing(place)
    sent = events(place, 60, 20)
    sent[30] = replace(sent[30], **{"body": b"secret-hunter2", **marks})
    sending = carrier(rig, place)
    await sending.carry(sent)
    assert list(sending.refused) == [sent[30].row]
    assert "hunter2" not in "".join([*sending.refused.values(), *sending.losses])
    check(sent[:30] + sent[31:], await rig.read(place), duplicates=20 * len(sending.losses))


@pytest.mark.needs("unroutable")
async def test_a_topic_that_nobody_takes_is_refused_and_the_others_go_on(rig: Rig, place: str) -> None:
    sent = events(place, 60, 20)
    sent[30] = replace(sent[30], topic=rig.unroutable(place))
    sending = carrier(rig, place)
    await sending.carry(sent)
    # It is not the event that is bad: it is parked, or waits where a stream may be on its way.
    assert await sending.verdict(sent[30]) in ("parked", "")
    assert list(sending.refused) == [sent[30].row]
    check(sent[:30] + sent[31:], await rig.read(place), duplicates=20 * len(sending.losses))


@pytest.mark.needs("missing")
async def test_a_missing_place_is_named_with_the_setting_that_makes_it(rig: Rig) -> None:
    place = f"m{uuid.uuid4().hex[:10]}"
    said = await opened(made(rig, place), place)
    assert place in said
    assert "outbox.broker.create" in said


@pytest.mark.needs("create")
async def test_a_missing_place_is_made_where_the_settings_say_so(rig: Rig) -> None:
    place = f"m{uuid.uuid4().hex[:10]}"
    sent = events(place, 20, 4)
    sending = Carrier(made(rig, place, create=True), topics=topics(place))
    await sending.carry(sent)
    assert sending.losses == []
    check(sent, await rig.read(place), duplicates=0)


async def test_a_wrong_password_is_told_without_it(rig: Rig, place: str) -> None:
    said = await told(brokers.make(rig.settings(place, password=WRONG), "shop"), place, "outbox.broker.url")
    assert "hunter2" not in said


async def test_events_go_over_tls_whose_certificate_is_checked(rig: Rig, place: str) -> None:
    sent = events(place, 20, 4)
    sending = carrier(rig, place, "tls")
    await sending.carry(sent)
    assert sending.losses == []
    check(sent, await rig.read(place), duplicates=0)
    unknown = replace_ca(rig, place, "")
    said = await told(unknown, place, "certificate")
    assert PASSWORD not in said


async def test_a_ca_s_file_that_is_not_there_is_named(rig: Rig, place: str) -> None:
    said = await opened(replace_ca(rig, place, "/nowhere/ca.pem"), place)
    assert "outbox.broker.ca_cert" in said
    assert "/nowhere/ca.pem" in said


def replace_ca(rig: Rig, place: str, ca_cert: str) -> Broker:
    """The broker of the way ``tls`` with another CA."""
    return brokers.make(msgspec.structs.replace(rig.settings(place, "tls"), ca_cert=ca_cert), "shop")


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_server_that_restarts_amid_a_batch_loses_nothing(rig: Rig, place: str, how: str) -> None:
    sent = events(place, MANY, KEYS)

    async def again() -> None:
        await asyncio.to_thread(rig.start)
        await rig.readers_return(place)

    starting: list[asyncio.Task[None]] = []

    def fault() -> None:
        # On the loop on purpose: no answer is read until the server is gone.
        getattr(rig, how)()
        starting.append(asyncio.create_task(again()))

    sending = hurried(rig, place, at=(MANY // 4, fault))
    try:
        await sending.carry(sent, within=200)
    finally:
        await asyncio.gather(*starting)
    assert sending.losses
    assert sending.refused == {}
    check(sent, await rig.read(place), duplicates=KEYS * sending.rounds)


async def test_connections_that_are_cut_lose_nothing(rig: Rig, place: str, proxy: Proxy) -> None:
    sent = events(place, MANY, KEYS)
    sending = hurried(rig, place, "proxy", at=(MANY // 4, proxy.cut))
    await sending.carry(sent)
    assert sending.refused == {}
    # A broker that replaces a connection by itself sends again what was on it.
    check(sent, await rig.read(place), duplicates=KEYS * (sending.rounds + 1))


async def test_answers_that_are_lost_cost_duplicates_at_most(rig: Rig, place: str, proxy: Proxy) -> None:
    sent = events(place, 600, KEYS)
    sending = hurried(rig, place, "proxy", at=(200, proxy.mute), lost=proxy.heal)
    await sending.carry(sent)
    assert sending.losses
    assert sending.refused == {}
    check(sent, await rig.read(place), duplicates=KEYS * sending.rounds)


async def test_what_a_lost_link_sent_comes_late_at_most_as_a_duplicate(
    rig: Rig, place: str, proxy: Proxy
) -> None:
    """What was on the way when the link was given up reaches the server after all that came next."""
    sent = events(place, 600, KEYS)
    sending = hurried(rig, place, "proxy", "plain", at=(200, proxy.hold))
    await sending.carry(sent)
    assert sending.losses
    assert sending.refused == {}
    proxy.release()
    await asyncio.sleep(0.5)  # what is held has half a second to do its harm: nothing tells when it did
    check(sent, await rig.read(place), duplicates=KEYS * sending.rounds)


async def test_a_server_that_is_silent_does_not_answer(rig: Rig, place: str, proxy: Proxy) -> None:
    broker = made(rig, place, "proxy", hurried=True)

    async def while_held() -> list[bool]:
        async with linked(broker, topics(place)) as link:
            assert await link.answers()
            proxy.hold()
            try:
                return [await link.answers()]
            finally:
                proxy.heal()

    assert await until(while_held, within=60) == [False]


async def test_a_link_to_a_dead_server_is_closed_at_once(rig: Rig, place: str) -> None:
    lost: list[str] = []

    class Outcomes(Counting):
        def lost(self, reason: str) -> None:
            lost.append(reason)

    broker = made(rig, place, hurried=True)
    async with linked(broker, topics(place), Outcomes(lambda: None, HURRIED)) as link:
        rig.kill()
        for number, event in enumerate(events(place, 20, 20)):
            link.send(number, event)
        await until(lambda: lost, within=60)
        before = time.monotonic()
    # The drivers would wait for a server's goodbye for half a minute and longer.
    assert time.monotonic() - before < 10
    assert len(lost) == 1
    await asyncio.to_thread(rig.start)
    assert await rig.read(place) == []
