"""What the service gets, and what its answers lead to."""

import asyncio

from agent.outbox.inbox.letters import Letters
from tests.integration.outbox.inbox.rig import Rig, until


async def test_the_service_gets_each_message_as_a_cloudevent_once(rig: Rig) -> None:
    rig.start_service()
    for number in range(20):
        await rig.publish(f"e{number}", key=f"k{number % 3}")
    async with rig.inbox(rig.settings()):
        await rig.until_called(*(f"e{number}" for number in range(20)))
        await rig.until_acknowledged()
    headers = {name.lower(): value for name, value in rig.noted()[0]["headers"].items()}
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-source"] == "/orders"
    assert headers["ce-type"] == "orders.created"
    assert headers["idempotency-key"] == headers["ce-id"]
    assert headers["content-type"] == "application/json"
    async with rig.inbox(rig.settings()):
        await rig.publish("late")
        await until(lambda: "late" in rig.called())
    assert len(rig.called()) == 21


async def test_a_message_that_comes_twice_is_posted_once(rig: Rig) -> None:
    rig.start_service()
    async with rig.inbox(rig.settings()):
        for key in ("a", None):
            for _ in range(3):
                await rig.publish(f"same-{key}", key=key, seconds=0.1)
                await asyncio.sleep(0.12)  # beyond the stream's own memory
        await rig.publish("last")
        await until(lambda: "last" in rig.called())
        await rig.until_acknowledged()
    assert sorted(rig.called()) == ["last", "same-None", "same-a"]


async def test_what_fails_is_tried_again_and_holds_up_only_its_own_key(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("first", key="a", answers=["RETRY", 503, 404, 409, 429, 500])
    await rig.publish("second", key="a")
    await rig.publish("other", key="b")
    async with rig.inbox(rig.settings()):
        await until(lambda: "second" in rig.called())
        await rig.until_acknowledged()
    called = rig.called()
    assert called.count("first") == 7
    assert called[-1] == "second"
    assert called.index("other") < called.index("second")


async def test_of_a_key_one_message_at_a_time_is_with_the_service_and_keys_run_beside_each_other(
    rig: Rig,
) -> None:
    rig.start_service()
    for number in range(6):
        # The first of each key is answered when both are there: keys that waited for each other would come to nothing.
        more = {"gate": "both"} if number == 0 else {"seconds": 0.2}
        await rig.publish(f"a{number}", key="a", **more)
        await rig.publish(f"b{number}", key="b", **more)
    async with rig.inbox(rig.settings()):
        await rig.until_called("a0", "b0")
        rig.open_gate("both")
        await rig.until_called(*(f"{key}{number}" for key in "ab" for number in range(6)))
        await rig.until_acknowledged()
    begins, ends = rig.noted("begin"), rig.noted("end")
    for key in "ab":
        times = [(note["at"], note["what"]) for note in sorted(begins + ends, key=lambda note: note["at"])
                 if note["key"] == key]  # fmt: skip
        assert [what for _, what in times] == ["begin", "end"] * 6
        assert [note["id"] for note in begins if note["key"] == key] == [
            f"{key}{number}" for number in range(6)
        ]


async def test_a_refused_message_is_a_dead_letter_and_the_next_of_its_key_goes_on(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("dropped", answers=["DROP"])
    await rig.publish("bad", answers=[400])
    await rig.publish("unfit", answers=[422])
    await rig.publish("good")
    async with rig.inbox(rig.settings()):
        await rig.until_called("dropped", "bad", "unfit", "good")
        await rig.until_acknowledged()
    found = await letters(rig).listed(10)
    assert [(each.id, each.reason) for each in found] == [
        ("dropped", "the service said DROP"),
        ("bad", "the service answered 400"),
        ("unfit", "the service answered 422"),
    ]


async def test_a_message_is_a_dead_letter_after_its_tries_which_a_restart_does_not_forget(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("hopeless", answers=[500] * 50)
    settings = rig.settings(max_attempts=5, retry_first=0.3, retry_last=0.3)
    async with rig.inbox(settings):
        await until(lambda: len(rig.called()) >= 2)
    async with rig.inbox(settings):
        await until(lambda: len(rig.called()) >= 5)
        await rig.until_acknowledged()
    [letter] = await letters(rig).listed(10)
    assert letter.attempts == 5
    assert len(rig.called()) == 5


async def test_a_parked_key_waits_behind_its_dead_letter_and_is_replayed_in_order(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("bad", key="a", answers=[422, 422])
    await rig.publish("a1", key="a")
    await rig.publish("b1", key="b")
    settings = rig.settings(dead="park-key")
    async with rig.inbox(settings):
        await rig.until_called("bad", "b1")
        await rig.until_acknowledged()
    async with rig.inbox(settings):
        await rig.publish("a2", key="a")
        book = letters(rig)

        async def behind() -> bool:
            return [each.id for each in await book.listed(10)] == ["bad", "a1", "a2"]

        await until(behind)
        found = await book.listed(10)
        assert await book.replay([found[0].number], whole=True) == [found[0].number]
        # It is refused once more: those behind it must not overtake it.
        await rig.until_called("bad", "b1", "bad")
        await until_states(rig, "dead", "dead", "dead")
        await book.replay([found[0].number], whole=True)
        await rig.publish("a3", key="a")
        await rig.until_called("bad", "b1", "bad", "bad", "a1", "a2", "a3")
        await until_states(rig)
    assert rig.called()[-4:] == ["bad", "a1", "a2", "a3"]


async def test_a_discarded_dead_letter_sets_its_key_free(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("bad", key="a", answers=[422])
    settings = rig.settings(dead="park-key")
    async with rig.inbox(settings):
        await rig.until_called("bad")
        await rig.until_acknowledged()
        [letter] = await letters(rig).listed(10)
        assert await letters(rig).discard([letter.number], "a test") == [letter.number]
        await rig.publish("next", key="a")
        await rig.until_called("bad", "next")
        await rig.until_acknowledged()
    [kept] = await letters(rig).listed(10)
    assert (kept.state, kept.note, kept.whole) == ("discarded", "a test", False)


async def test_a_body_beyond_the_bound_is_cut_and_can_not_be_replayed(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("large", answers=[422], filling="x" * 5000)
    async with rig.inbox(rig.settings(dead_body=1000)):
        await rig.until_called("large")
        await rig.until_acknowledged()
    [letter] = await letters(rig).listed(10)
    assert letter.size > 5000
    assert not letter.whole
    assert await letters(rig).replay([letter.number], whole=False) == []
    assert await rig.sql.fetchval("SELECT octet_length(body) FROM pillion_inbox.inbox_dead") == 1000


async def test_a_service_that_is_slower_than_the_brokers_patience_is_asked_once(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("slow", key="a", seconds=4)
    await rig.publish("behind", key="a")
    async with rig.inbox(rig.settings(broker={"ack_wait": 1.0})):
        await rig.until_called("slow", "behind")
        await rig.until_acknowledged()
    assert rig.called() == ["slow", "behind"]


async def test_a_service_that_is_away_is_waited_for(rig: Rig) -> None:
    for number in range(5):
        await rig.publish(f"e{number}")
    async with rig.inbox(rig.settings(max_attempts=2)):
        await until(lambda: "can't be reached" in rig.board.reports["inbox"].detail)
        assert await rig.open_messages() == 5
        rig.start_service()
        await rig.until_called(*(f"e{number}" for number in range(5)))
        await rig.until_acknowledged()
        await until(lambda: not rig.board.reports["inbox"].detail)
    assert await letters(rig).listed(10) == []


async def test_what_is_no_cloudevent_is_made_one(rig: Rig) -> None:
    rig.start_service()
    await rig.client.jetstream().publish(f"{rig.stream}.orders", b"{}")
    async with rig.inbox(rig.settings()):
        await until(rig.called)
        await rig.until_acknowledged()
    headers = {name.lower(): value for name, value in rig.noted()[0]["headers"].items()}
    assert headers["ce-id"].startswith("1-")
    assert headers["ce-source"] == f"/nats/{rig.stream}"


async def test_without_a_database_one_instance_works_and_the_other_takes_over(rig: Rig) -> None:
    rig.start_service()
    settings = rig.settings(dedupe="none", lease=4.0)
    async with rig.inbox(settings, "one"):
        await rig.publish("a")
        await rig.until_called("a")
        async with rig.inbox(settings, "two"):
            for number in range(30):
                await rig.publish(f"e{number}")
            await rig.until_called("a", *(f"e{number}" for number in range(30)))
            await rig.until_acknowledged()
    async with rig.inbox(settings, "two"):
        await rig.publish("b")
        await until(lambda: "b" in rig.called())
        await rig.until_acknowledged()
    assert [each for each in rig.called() if each.startswith("e")] == [f"e{number}" for number in range(30)]


async def test_without_a_database_instances_that_start_together_agree_on_one(rig: Rig) -> None:
    rig.start_service()
    settings = rig.settings(dedupe="none", lease=4.0)
    async with rig.inbox(settings, "one"), rig.inbox(settings, "two"), rig.inbox(settings, "three"):
        await until(lambda: settled(rig))
        for number in range(30):
            await rig.publish(f"e{number}", key=f"k{number}")
        await rig.until_called(*(f"e{number}" for number in range(30)))
        await rig.until_acknowledged()


async def settled(rig: Rig) -> bool:
    found = await rig.client.jetstream().consumers_info(rig.stream)
    assert [each.num_waiting for each in found] == [1]
    return True


async def test_a_consumer_that_is_to_get_only_what_comes_gets_that_also_after_a_restart(rig: Rig) -> None:
    rig.start_service()
    settings = rig.settings(broker={"start": "new"})
    for number in range(3):
        await rig.publish(f"old{number}")
    async with rig.inbox(settings):
        await until(lambda: settled(rig))
    await rig.publish("between")
    async with rig.inbox(settings):
        await rig.until_called("between")
        await rig.until_acknowledged()


async def test_a_work_queue_is_read_and_emptied(rig: Rig) -> None:
    client = rig.client.jetstream()
    await client.delete_stream(rig.stream)
    await client.add_stream(name=rig.stream, subjects=[f"{rig.stream}.>"], retention="workqueue")
    rig.start_service()
    for number in range(3):
        await rig.publish(f"e{number}")
    async with rig.inbox(rig.settings()):
        await rig.until_called("e0", "e1", "e2")
        await rig.until_acknowledged()
    await rig.publish("e3")
    async with rig.inbox(rig.settings()):
        await rig.until_called("e0", "e1", "e2", "e3")
        await rig.until_acknowledged()
    assert (await client.stream_info(rig.stream)).state.messages == 0


def letters(rig: Rig) -> Letters:
    from agent.outbox.database import Connection

    return Letters(Connection(rig.sql), "pillion_inbox", "stock")


async def until_states(rig: Rig, *states: str) -> None:
    async def same() -> bool:
        found = [each.state for each in await letters(rig).listed(10)]
        assert found == list(states)
        return True

    await until(same)
