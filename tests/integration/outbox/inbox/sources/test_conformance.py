"""What every source keeps, shown on its real server."""

import asyncio
import contextlib
import signal

import pytest

from agent.outbox.inbox.inbox import places
from agent.outbox.inbox.letters import Letters
from agent.outbox.inbox.message import Parcel
from agent.runtime.errors import Transient
from tests.integration.outbox.brokers.rig import PASSWORD, WRONG, Way
from tests.integration.outbox.inbox.process import GAP
from tests.integration.outbox.inbox.rig import until
from tests.integration.outbox.inbox.sources.rig import SHORT, SourceRig, event, many, restart

PARTITIONS = 4


def letters(rig: SourceRig) -> Letters:
    from agent.outbox.database import Connection

    return Letters(Connection(rig.sql), "pillion_inbox", "stock")


async def test_the_service_gets_each_event_that_the_relay_sent_once_as_it_was(rig: SourceRig) -> None:
    rig.start_service()
    await rig.put(event("ü & 1", "grün & 5%"), event("2", None), event("3", "b"))
    async with rig.inbox(rig.settings()):
        await until(lambda: len(rig.called()) == 3)
    assert await rig.left() == 0
    [first] = [note for note in rig.noted() if note["key"] == "gr%C3%BCn%20&%205%25"]
    headers = {name.lower(): value for name, value in first["headers"].items()}
    assert headers["ce-id"] == headers["idempotency-key"] == "%C3%BC%20&%201"
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-source"] == "/shop"
    assert headers["ce-type"] == "orders.created"
    assert headers["ce-time"] == "2026-01-02T03:04:05Z"
    assert headers["content-type"] == "application/json"
    [keyless] = [note for note in rig.noted() if note["id"] == "2"]
    assert keyless["key"] is None


async def test_what_was_done_is_not_asked_again_after_a_restart_nor_when_it_is_published_twice(
    rig: SourceRig,
) -> None:
    rig.start_service()
    await rig.put(*many(20, 3))
    async with rig.inbox(rig.settings()):
        await until(lambda: len(rig.called()) == 20)
    await asyncio.sleep(0.2)  # beyond the memory for duplicates that a broker may have
    await rig.put(*many(5, 3))
    async with rig.inbox(rig.settings()):
        await rig.put(event("last"))
        await until(lambda: "last" in rig.called())
    assert rig.called_again() == {}
    assert len(rig.called()) == 21
    assert await rig.left() == 0
    rig.check_order()


async def test_what_fails_is_tried_again_and_holds_up_only_its_own_key(rig: SourceRig) -> None:
    rig.start_service()
    await rig.put(
        event("first", "a", answers=["RETRY", 503, 404, 409, 429, 500]),
        event("second", "a"),
        event("other", "b"),
    )
    async with rig.inbox(rig.settings()):
        await until(lambda: "second" in rig.called())
    called = rig.called()
    assert called.count("first") == 7
    assert called.index("other") < called.index("second")
    assert await rig.left() == 0
    rig.check_order()


async def test_what_the_service_drops_is_a_dead_letter_and_the_next_of_its_key_goes_on(
    rig: SourceRig,
) -> None:
    rig.start_service()
    await rig.put(
        event("dropped", answers=["DROP"]), event("bad", answers=[400]), event("unfit", answers=[422, 200]),
        event("good"),
    )  # fmt: skip
    async with rig.inbox(rig.settings()):
        await rig.until_called("dropped", "bad", "unfit", "good")
        found = await letters(rig).listed(10)
        assert [each.id for each in found] == ["dropped", "bad", "unfit"]
        assert await letters(rig).replay([found[2].number], whole=False) == [found[2].number]
        await rig.until_called("dropped", "bad", "unfit", "good", "unfit")
    assert await rig.left() == 0


async def test_a_parked_key_waits_behind_its_dead_letter_across_restarts(rig: SourceRig) -> None:
    rig.start_service()
    await rig.put(event("bad", "a", answers=[422]), event("a1", "a"), event("b1", "b"))
    settings = rig.settings(dead="park-key")
    async with rig.inbox(settings):
        await rig.until_called("bad", "b1")
    await rig.put(event("a2", "a"), event("b2", "b"))
    async with rig.inbox(settings):
        await rig.until_called("bad", "b1", "b2")

        async def all_aside() -> bool:
            assert [each.id for each in await letters(rig).listed(10)] == ["bad", "a1", "a2"]
            return True

        await until(all_aside)
        [first, *_] = await letters(rig).listed(10)
        await letters(rig).replay([first.number], whole=True)
        await until(lambda: rig.called()[-3:] == ["bad", "a1", "a2"])
    assert await rig.left() == 0


@pytest.mark.partitions(PARTITIONS)
async def test_two_instances_at_once_share_the_partitions_and_keep_the_order_of_each_key(
    rig: SourceRig,
) -> None:
    rig.start_service()
    settings = rig.settings()
    async with rig.inbox(settings, "one"), rig.inbox(settings, "two"):
        await until(lambda: shared(rig))
        await rig.put(*many(200, 20))
        await until(lambda: len(set(rig.called())) == 200)
    # One leaves and comes back while messages come.
    async with rig.inbox(settings, "one"):
        async with rig.inbox(settings, "two"):
            await rig.put(*many(100, 20, first=200))
            await until(lambda: len(set(rig.called())) > 240)
        await rig.put(*many(50, 20, first=300))
        await until(lambda: len(set(rig.called())) == 350)
    assert rig.called_again() == {}
    rig.check_order()
    rig.check_one_at_a_time()
    assert await rig.left() == 0


async def shared(rig: SourceRig) -> bool:
    rows = await rig.sql.fetch(
        "SELECT split_part(owner, '/', 1) AS who, count(*) FROM pillion_inbox.inbox_partition "
        "WHERE owner IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    assert {row["who"]: row["count"] for row in rows} == {"one": 2, "two": 2}, rows
    return True


async def test_a_service_that_is_slower_than_the_brokers_patience_is_asked_once(rig: SourceRig) -> None:
    rig.start_service()
    async with rig.feed.impatient() as broker:
        await rig.put(event("slow", "a", seconds=5), event("behind", "a"), event("other", "b"))
        async with rig.inbox(rig.settings(broker=broker)):
            await rig.until_called("slow", "behind", "other")
        assert await rig.left() == 0
    rig.check_order()


async def test_a_message_that_fails_for_longer_than_the_brokers_patience_keeps_its_place(
    rig: SourceRig,
) -> None:
    rig.start_service()
    async with rig.feed.impatient() as broker:
        await rig.put(event("hard", "a", answers=[503] * 8), event("behind", "a"), event("other", "b"))
        settings = rig.settings(broker=broker, retry_first=0.8, retry_last=0.8)
        async with rig.inbox(settings):
            await until(lambda: "behind" in rig.called())
        assert await rig.left() == 0
    assert rig.called().count("hard") == 9
    assert rig.called()[-1] == "behind"
    rig.check_order()


async def test_no_more_than_the_set_number_of_messages_is_open_and_the_partition_goes_on_after_it(
    rig: SourceRig,
) -> None:
    rig.start_service()
    await rig.put(event("e0", "a", answers=[503] * 6))
    await rig.put(*many(60, 6, first=1))
    async with rig.inbox(rig.settings(broker={"held": 5})):
        await until(lambda: len(set(rig.called())) == 61)
        await until(lambda: rig.called().count("e0") == 7)
    assert await rig.left() == 0
    rig.check_order()


async def test_an_end_right_after_a_burst_of_acknowledgements_loses_none_of_them(rig: SourceRig) -> None:
    settings = rig.settings(broker={"held": 400})
    [place] = places(settings.inbox)
    await rig.put(*(event(f"e{number}") for number in range(400)))

    async def all_done() -> bool:
        came: list[Parcel] = []
        with contextlib.suppress(Transient):  # a broker that has just started
            async with rig.source(settings).open(place, alone=False) as stream:
                while len(came) < 400:
                    came += await stream.fetch()
                for each in came:
                    await stream.done(each)
        return len(came) == 400

    await until(all_done)
    assert await rig.left() == 0


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_broker_that_restarts_costs_no_call_and_no_message(rig: SourceRig, how: str) -> None:
    rig.start_service()
    await rig.put(*many(120, 8, seconds=0.05))
    async with rig.inbox(rig.settings(concurrency=4)):
        await until(lambda: len(rig.called()) > 20)
        await restart(rig, how)
        await rig.put(*many(40, 8, first=120))
        await until(lambda: len(set(rig.called())) == 160, within=120)
        await until(lambda: not rig.board.reports["inbox"].detail)
    assert rig.called_again() == {}
    rig.check_order()
    rig.check_one_at_a_time()
    assert await rig.left() == 0


@pytest.mark.parametrize("point", ["fetched", "posted", "recorded", "acknowledged", "set aside"])
async def test_after_an_end_at_any_point_the_service_is_called_once_for_each_message(
    rig: SourceRig, point: str
) -> None:
    rig.start_service()
    told = {3: {"answers": ["DROP", "DROP"]}, 6: {"answers": [503]}}
    await rig.put(*(event(f"e{number}", "a", **told.get(number, {})) for number in range(12)))
    settings = rig.settings(concurrency=1, lease=SHORT)
    doomed = rig.process(settings, "one", point)
    await until(lambda: doomed.poll() is not None)
    assert doomed.returncode == -signal.SIGKILL, "it did not come to that point"
    async with rig.inbox(settings, "two"):
        await until(lambda: "e11" in rig.called())
    again = rig.called_again()
    assert again.pop("e6") == 2, "once, and once more for its retry"
    assert list(again.values()) == ([2] if point in GAP else [])
    rig.check_order()
    assert [each.id for each in await letters(rig).listed(10)] == ["e3"]
    assert await rig.left() == 0


async def test_an_owner_that_stood_still_beyond_its_lease_costs_neither_order_nor_message(
    rig: SourceRig,
) -> None:
    rig.start_service()
    settings = rig.settings(concurrency=4, lease=SHORT)
    stopped = rig.process(settings, "one")
    await rig.put(*many(200, 7, seconds=0.02))
    await until(lambda: len(rig.called()) > 30)
    stopped.send_signal(signal.SIGSTOP)
    async with rig.inbox(settings, "two"):
        before = len(rig.called())
        await until(lambda: len(rig.called()) > before + 50, within=90)
        stopped.send_signal(signal.SIGCONT)
        await until(lambda: len(set(rig.called())) == 200)
    stopped.terminate()
    await until(lambda: stopped.poll() is not None)
    # What the stopped one had at the service, and once more where a busy machine lets the other's lease run out.
    assert sum(rig.called_again().values()) - len(rig.called_again()) <= 8
    rig.check_order()
    assert await rig.left() == 0


async def test_without_a_database_one_instance_works_and_the_other_takes_over(rig: SourceRig) -> None:
    rig.start_service()
    settings = rig.settings(dedupe="none", lease=SHORT)
    async with rig.inbox(settings, "one"):
        await rig.put(event("a"))
        await until(lambda: rig.called() == ["a"])
        async with rig.inbox(settings, "two"):
            await rig.put(*many(30, 3))
            await until(lambda: len(rig.called()) == 31)
    async with rig.inbox(settings, "two"):
        await rig.put(event("b"))
        await until(lambda: "b" in rig.called())
    assert rig.called_again() == {}
    rig.check_order()
    assert await rig.left() == 0


async def test_without_a_database_instances_that_start_together_agree_on_one(rig: SourceRig) -> None:
    rig.start_service()
    settings = rig.settings(dedupe="none", lease=SHORT)
    async with rig.inbox(settings, "one"), rig.inbox(settings, "two"), rig.inbox(settings, "three"):
        await rig.put(event("a"))
        await until(lambda: "a" in rig.called())
        await rig.put(*many(30, 30))
        await until(lambda: len(set(rig.called())) == 31)
    rig.check_order()
    assert await rig.left() == 0


@pytest.mark.parametrize("way", ["tls", "plain"])
async def test_a_wrong_password_is_told_without_it(rig: SourceRig, way: Way) -> None:
    async with rig.inbox(rig.settings(broker=rig.broker(way, WRONG))):
        await until(lambda: "hunter2" in WRONG and rig.board.reports["inbox"].detail)
        await until(lambda: words(rig, "auth", "password", "url", "let us"))
        assert WRONG not in rig.board.reports["inbox"].detail


async def test_messages_come_over_tls_whose_certificate_is_checked(rig: SourceRig) -> None:
    rig.start_service()
    await rig.put(event("a"))
    broker = rig.broker("tls")
    async with rig.inbox(rig.settings(broker={**broker, "ca_cert": ""})):
        await until(lambda: words(rig, "certificate", "tls", "ssl"))
        assert PASSWORD not in rig.board.reports["inbox"].detail
    assert rig.called() == []
    async with rig.inbox(rig.settings(broker=broker)):
        await until(lambda: rig.called() == ["a"])


def words(rig: SourceRig, *wanted: str) -> bool:
    said = rig.board.reports["inbox"].detail.lower()
    assert any(each in said for each in wanted), said
    return True


async def test_a_topic_that_is_not_there_is_named_and_waited_for(rig: SourceRig) -> None:
    rig.start_service()
    place, rig.stream = rig.stream, f"{rig.stream}x"
    async with rig.inbox(rig.settings()):
        await until(lambda: words(rig, f"{place}x.orders"))
        await rig.feed.prepare(rig.stream, rig.partitions)
        await rig.put(event("a"))
        await until(lambda: rig.called() == ["a"])
