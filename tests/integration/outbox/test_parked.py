"""A key that fails is set aside, and holds up no other."""

from collections.abc import Callable
from typing import Any

from agent.config.sections.outbox import Changes, Outbox, Table
from tests.integration.outbox.bench import Arrived, Bench
from tests.waiting import until

BIG = "repeat('x', 4000)"


async def prepared(bench: Bench, **more: Any) -> Outbox:
    """A table whose changes are events, and a stream that refuses what is large."""
    await bench.make_stream(max_msg_size=3000)
    await bench.service.execute("CREATE TABLE t (id serial PRIMARY KEY, k int, n int, a text)")
    settings = bench.settings(changes=(Changes(table="t", key=("k",)),), **more)
    await bench.init(settings)
    return settings


async def write(bench: Bench, key: int, *versions: int, big: bool = False) -> None:
    for version in versions:
        await bench.service.execute(
            f"INSERT INTO t (k, n, a) VALUES ($1, $2, {BIG if big else 'NULL'})", key, version
        )


async def held(bench: Bench, state: str, keys: int, rows: int) -> None:
    async def so() -> None:
        found = await bench.service.fetchval("SELECT count(*) FROM pillion.held_key WHERE state = $1", state)
        there = await bench.service.fetchval("SELECT count(*) FROM pillion.held_row")
        assert (found, there) == (keys, rows), await bench.service.fetch("SELECT * FROM pillion.held_key")

    await until(passing(so), within=60)


def passing(check: Callable[[], Any]) -> Callable[[], Any]:
    async def passed() -> bool:
        await check()
        return True

    return passed


def seen(arrived: list[Arrived], key: int) -> list[int]:
    """The versions of a key in the order of their first arrival."""
    return list(dict.fromkeys(each.data["after"]["n"] for each in arrived if each.key == str(key)))


async def none_left(bench: Bench) -> None:
    async def empty() -> bool:
        return not await bench.service.fetchval("SELECT count(*) FROM pillion.held_key")

    await until(empty, within=60)


async def test_a_refused_event_parks_its_key_and_all_others_go_on(bench: Bench) -> None:
    settings = await prepared(bench)
    async with bench.relay(settings) as relay:
        await write(bench, 1, 1)
        await write(bench, 1, 2, big=True)
        await write(bench, 1, 3)
        await bench.service.execute("INSERT INTO t (k, n) SELECT n, 1 FROM generate_series(2, 300) n")
        await bench.until_arrived(300)
        await held(bench, "parked", 1, 2)
        (status,) = await relay.status()
        assert status.stopped == ()
        key = await bench.service.fetchrow("SELECT * FROM pillion.held_key")
        assert key["key"] == "1"
        assert "message size exceeds" in key["reason"]


async def test_a_parked_key_is_replayed_in_order_while_new_rows_of_it_arrive(bench: Bench) -> None:
    settings = await prepared(bench)
    async with bench.relay(settings):
        await write(bench, 1, 1, big=True)
        await write(bench, 1, *range(2, 40))
        await held(bench, "parked", 1, 39)
        await bench.change_stream(max_msg_size=-1)
        await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
        await write(bench, 1, *range(40, 400))
        await none_left(bench)
        await write(bench, 1, 400)
        await bench.until_arrived(400)
    arrived = await bench.arrived()
    assert seen(arrived, 1) == list(range(1, 401))
    assert len(arrived) == 400, "duplicates without a crash"


async def test_what_is_set_aside_outlives_its_owner(bench: Bench) -> None:
    settings = await prepared(bench)
    async with bench.relay(settings):
        await write(bench, 1, 1, big=True)
        await held(bench, "parked", 1, 1)
    async with bench.relay(settings):
        await write(bench, 1, 2)
        await write(bench, 2, 1)
        await bench.until_arrived(1)
        await held(bench, "parked", 1, 2)
        await bench.change_stream(max_msg_size=-1)
        await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
        await none_left(bench)
    assert seen(await bench.arrived(), 1) == [1, 2]


async def test_a_replay_that_is_refused_again_parks_the_key_again(bench: Bench) -> None:
    settings = await prepared(bench)
    async with bench.relay(settings):
        await write(bench, 1, 1, big=True)
        await write(bench, 1, 2)
        await held(bench, "parked", 1, 2)
        await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")

        async def again() -> bool:
            return bool(await bench.service.fetchval("SELECT attempts = 1 FROM pillion.held_key"))

        await until(again)
        await held(bench, "parked", 1, 2)
        assert await bench.count() == 0


async def test_an_event_left_out_by_skip_is_recorded_and_its_key_goes_on(bench: Bench) -> None:
    settings = await prepared(bench, on_refused="skip")
    async with bench.relay(settings):
        await write(bench, 1, 1)
        await write(bench, 1, 2, big=True)
        await write(bench, 1, 3)
        await bench.until_arrived(2)
    assert seen(await bench.arrived(), 1) == [1, 3]
    (audit,) = await bench.service.fetch("SELECT * FROM pillion.held_audit")
    assert (audit["what"], audit["row_ids"], audit["key"]) == ("skipped", [2], "1")
    assert bench.metric("pillion_outbox_skipped_total") == 1


async def test_at_its_bound_a_key_stops_its_bucket_and_nothing_is_dropped(bench: Bench) -> None:
    settings = await prepared(bench, held_key_rows=5)
    async with bench.relay(settings) as relay:
        await write(bench, 1, 1, big=True)
        await write(bench, 1, *range(2, 11))

        async def stopped() -> bool:
            (status,) = await relay.status()
            return any("outbox.held_key_rows" in each.reason for each in status.stopped)

        await until(stopped)
        await held(bench, "parked", 1, 5)
        await write(bench, 2, 1)
        await bench.until_arrived(1)
        await bench.change_stream(max_msg_size=-1)
        await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
        await bench.until_arrived(11, within=60)
    assert seen(await bench.arrived(), 1) == list(range(1, 11))


async def test_a_row_that_is_gone_is_told_and_not_passed_over(bench: Bench) -> None:
    settings = await prepared(bench)
    async with bench.relay(settings):
        await write(bench, 1, 1, big=True)
        await write(bench, 1, 2)
        await held(bench, "parked", 1, 2)
        await bench.service.execute("DELETE FROM pillion.outbox WHERE id = 1")
        await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")

        async def told() -> bool:
            reason = await bench.service.fetchval(
                "SELECT reason FROM pillion.held_key WHERE state = 'parked'"
            )
            return "row 1: its row is gone" in str(reason)

        await until(told)
        await held(bench, "parked", 1, 2)
        assert await bench.count() == 0


async def test_a_key_that_nobody_acknowledges_is_held_and_sent_by_itself_once_it_can_be(bench: Bench) -> None:
    await bench.make_stream()
    await bench.change_stream(subjects=[f"{bench.stream}.good"])
    await bench.service.execute(
        "CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, "
        "aggregateid text, type text, payload jsonb)"
    )
    topic = f"{bench.stream}.{{aggregatetype}}"
    settings = bench.settings(
        tables=(Table(table="ob", preset="debezium", topic=topic),),
        broker_create=False,
        broker_timeout=2.0,
        hold_after=1.0,
    )
    await bench.init(settings)
    insert = "INSERT INTO ob (aggregatetype, aggregateid, payload) VALUES "
    async with bench.listener(), bench.relay(settings) as relay:
        for number in range(1, 4):
            await bench.service.execute(f"{insert} ('typo', 'one', '{number}')")
        await held(bench, "held", 1, 3)

        async def nothing_stopped() -> bool:
            return (await relay.status())[0].stopped == ()

        await until(nothing_stopped, within=40)
        await bench.service.execute(f"{insert} ('good', 'two', '1')")
        await bench.until_arrived(1)
        await bench.change_stream(subjects=[f"{bench.stream}.>"])
        await bench.until_arrived(4, within=60)
        await none_left(bench)
    bodies = dict.fromkeys(each.body for each in await bench.arrived() if each.subject.endswith("typo"))
    assert [*bodies] == [b"1", b"2", b"3"]
