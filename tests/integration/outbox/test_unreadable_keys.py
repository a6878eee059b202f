"""A row whose key can't be read is set aside alone, on a database whose texts are bytes of any kind."""

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from agent.config.sections.outbox import Outbox, Table
from agent.outbox.database import Database
from agent.outbox.parked.desk import Desk, Which
from agent.outbox.relay import Relay
from agent.outbox.survey import survey
from tests.integration.outbox.bench import Bench
from tests.waiting import until

FEED = "public.ob"
# What a service with another encoding wrote: no UTF-8, and nothing that could be taken for it.
ODD = r"convert_from('\x6be4'::bytea, 'SQL_ASCII')"
WRITE = f"""
INSERT INTO ob (key, payload) SELECT CASE WHEN n = ANY($3::int[]) THEN {ODD} ELSE 'k' || n % 10 END, n::text::json
FROM generate_series($1::int, $2::int) n"""
BAD = (7, 17, 18, 42)


@pytest.fixture
def database_options() -> str:
    return "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"


async def prepared(bench: Bench, **more: Any) -> Outbox:
    await bench.service.execute("CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload json)")
    settings = bench.settings(tables=(Table(table="ob"),), **more)
    await bench.init(settings)
    return settings


async def write(bench: Bench, first: int, last: int, bad: Collection[int] = ()) -> None:
    await bench.service.execute(WRITE, first, last, list(bad))


async def held(bench: Bench) -> set[int]:
    return {row["row_id"] for row in await bench.service.fetch("SELECT row_id FROM pillion.held_row")}


def in_order(arrived: list[Any], key: str) -> list[int]:
    found = [each.data for each in arrived if each.key == key]
    assert found == sorted(found)
    return found


async def replay(bench: Bench, which: Which = Which((FEED,))) -> None:  # noqa: B008 - it is frozen
    async with Database(lambda: bench.url).connection() as connection:
        await Desk(connection, "pillion").replay(which)


@pytest.mark.parametrize("page", [5, 10, 1000], ids=["small", "walked", "polled"])
async def test_it_is_parked_alone_all_others_arrive_and_it_is_sent_in_order_when_it_is_mended(
    bench: Bench, page: int
) -> None:
    settings = await prepared(bench, page=page)
    await write(bench, 1, 60, BAD)
    async with bench.relay(settings):
        arrived = await bench.until_arrived(60 - len(BAD))
        assert {each.data for each in arrived} == {*range(1, 61)} - {*BAD}
        assert await held(bench) == {*BAD}
        found = await bench.service.fetch("SELECT id, key, state, reason FROM pillion.held_key")
        assert {row["id"] for row in found} == {f"row:{number}" for number in BAD}
        assert {(row["key"], row["state"]) for row in found} == {(None, "parked")}
        assert all("its key can't be read, so it is set aside alone: " in row["reason"] for row in found)
        # Reading goes on, and what comes later passes.
        await write(bench, 61, 70, (65,))
        await bench.until_arrived(69 - len(BAD))
        await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id = ANY($1)", [*BAD, 65])
        await replay(bench)
        arrived = await bench.until_arrived(70)
    assert len(arrived) == 70
    assert in_order(arrived, "mended") == [*BAD, 65]
    for key in range(10):
        in_order(arrived, f"k{key}")
    assert await held(bench) == set()


async def test_each_relay_that_shares_the_feed_gets_past_it_and_it_is_kept_once(bench: Bench) -> None:
    settings = await prepared(bench, page=7, lease=4.0)

    async def share(relays: list[Relay]) -> bool:
        return [(await each.status())[0].buckets for each in relays] == [32, 32]

    async with bench.relay(settings) as one, bench.relay(settings) as two:
        await until(lambda: share([one, two]), within=60)
        await write(bench, 1, 60, BAD)
        arrived = await bench.until_arrived(60 - len(BAD))
        assert {each.data for each in arrived} == {*range(1, 61)} - {*BAD}
        assert len(arrived) == 60 - len(BAD)
        assert await held(bench) == {*BAD}
        homes = await bench.service.fetch("SELECT DISTINCT bucket FROM pillion.held_key")
        assert len(homes) == 1, "two relays would send them in any order"
        # Both are past: nothing is unsent but what is kept.
        await write(bench, 61, 70)
        await bench.until_arrived(70 - len(BAD))
        await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id = ANY($1)", [*BAD])
        await replay(bench)
        arrived = await bench.until_arrived(70)
    assert in_order(arrived, "mended") == [*BAD]


async def stopped_at(relay: Relay, row: int, buckets: int = 64) -> str:
    """Wait until that row has stopped so many buckets of a relay; why."""

    async def so() -> bool:
        (status,) = await relay.status()
        assert [each.row for each in status.stopped] == [row] * buckets, status
        return True

    await until(so, within=40)
    return (await relay.status())[0].stopped[0].reason


@pytest.mark.parametrize("page", [5, 1000], ids=["walked", "polled"])
async def test_where_a_refused_event_blocks_all_before_it_arrives_and_nothing_behind_it_until_it_is_mended(
    bench: Bench, page: int
) -> None:
    settings = await prepared(bench, on_refused="block", page=page)
    await write(bench, 1, 12, (8,))
    async with bench.relay(settings) as relay:
        assert "the key of row 8 can't be read, so nothing may overtake it" in await stopped_at(relay, 8)
        assert sorted(each.data for each in await bench.until_arrived(7)) == [*range(1, 8)]
        await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id = 8")
        assert sorted(each.data for each in await bench.until_arrived(12)) == [*range(1, 13)]

        async def none_stopped() -> bool:
            return (await relay.status())[0].stopped == ()

        await until(none_stopped)


async def claims(bench: Bench) -> list[Any]:
    return list(await bench.service.fetch("SELECT bucket, owner, epoch FROM pillion.bucket ORDER BY bucket"))


@pytest.mark.parametrize("page", [5, 1000], ids=["walked", "polled"])
async def test_at_the_bound_its_relay_stays_waits_at_the_row_and_goes_on_when_there_is_room(
    bench: Bench, page: int
) -> None:
    settings = await prepared(bench, page=page, held_rows=2)
    await write(bench, 1, 60, BAD)
    async with bench.relay(settings) as relay:
        assert "the most of outbox.held_rows" in await stopped_at(relay, 18)
        assert {each.data for each in await bench.until_arrived(15)} == {*range(1, 18)} - {7, 17}
        assert await held(bench) == {7, 17}
        before = await claims(bench)
        await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id = ANY($1)", [7, 17])
        await replay(bench)
        arrived = await bench.until_arrived(58)
        assert await claims(bench) == before, "it had to give up what it has"
        assert await held(bench) == {18, 42}
    assert in_order(arrived, "mended") == [7, 17]
    assert len(arrived) == 58
    for key in range(10):
        in_order(arrived, f"k{key}")


@pytest.mark.parametrize("bounds", [{"held_rows": len(BAD)}, {"held_key_rows": 1}], ids=["feed", "key"])
async def test_at_the_bound_what_is_read_again_and_kept_already_needs_no_room(
    bench: Bench, bounds: dict[str, int]
) -> None:
    """As after a crash before the place was saved, and where another relay was first."""
    settings = await prepared(bench, **bounds)
    place = await bench.service.fetchval("SELECT max(base::text) FROM pillion.bucket")
    await write(bench, 1, 60, BAD)
    for _ in range(2):
        async with bench.relay(settings) as relay:

            async def past(relay: Relay = relay) -> bool:
                (status,) = await relay.status()
                assert status.stopped == ()
                return status.published == 60 - len(BAD)

            await until(past, within=40)
            assert await held(bench) == {*BAD}
        await bench.service.execute(
            "UPDATE pillion.bucket SET base = $1::text::pg_snapshot, target = NULL", place
        )


async def test_many_that_have_one_key_when_they_are_mended_are_sent_in_their_order(bench: Bench) -> None:
    settings = await prepared(bench)
    bad = range(1, 501)
    await write(bench, 1, 501, bad)
    async with bench.relay(settings):
        await bench.until_arrived(1)
        # As after many changes: rows lie in any order in the table of keys.
        await bench.service.execute("UPDATE pillion.held_key SET attempts = 0 WHERE random() < 0.5")
        await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id <= 500")
        await replay(bench)
        arrived = await bench.until_arrived(501, within=90)
    assert in_order(arrived, "mended") == [*bad]


async def test_what_another_relay_kept_is_sent_by_the_owner_who_never_met_it(bench: Bench) -> None:
    """One that passed the row while its key could be read knows nothing of it."""
    settings = await prepared(bench)
    async with bench.relay(settings):
        await write(bench, 1, 6)
        await bench.until_arrived(6)
        await bench.service.execute(
            "INSERT INTO pillion.held_key (feed, id, bucket, state, reason) VALUES ($1, 'row:3', 0, 'parked', 'x')",
            FEED,
        )
        await bench.service.execute(
            "INSERT INTO pillion.held_row (feed, key, bucket, row_id) VALUES ($1, 'row:3', 0, 3)", FEED
        )
        await bench.service.execute("UPDATE ob SET payload = '33' WHERE id = 3")
        await replay(bench)
        arrived = await bench.until_arrived(7)
    assert [each.data for each in arrived] == [1, 2, 3, 4, 5, 6, 33]


async def test_when_the_relay_that_would_send_them_dies_its_heir_sends_them_in_order(
    bench: Bench, tmp_path: Path
) -> None:
    settings = await prepared(bench, page=10, lease=4.0)
    children = {name: bench.process(settings, tmp_path, name) for name in ("one", "two")}
    owners = "SELECT split_part(owner, '/', 1) AS name, count(*) AS buckets FROM pillion.bucket {} GROUP BY 1"

    async def shared() -> bool:
        found = await bench.service.fetch(owners.format(""))
        return {row["name"]: row["buckets"] for row in found} == dict.fromkeys(children, 32)

    await until(shared, within=60)
    await write(bench, 1, 60, BAD)
    await bench.until_arrived(60 - len(BAD))
    assert await held(bench) == {*BAD}
    children[await bench.service.fetchval(owners.format("WHERE bucket = 0"))].kill()
    await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id = ANY($1)", [*BAD])
    await replay(bench)
    assert in_order(await bench.until_arrived(60, within=60), "mended") == [*BAD]


async def test_status_counts_what_is_unsent_though_a_key_can_not_be_read(bench: Bench) -> None:
    settings = await prepared(bench)
    await write(bench, 1, 6, (4,))
    async with Database(lambda: bench.url).connection() as connection:
        (found,) = await survey(connection, settings)
    assert (found.unsent, found.problem) == (6, "")


async def test_with_skip_it_is_parked_too_for_no_broker_has_refused_it(bench: Bench) -> None:
    settings = await prepared(bench, on_refused="skip")
    await write(bench, 1, 6, (4,))
    async with bench.relay(settings):
        await bench.until_arrived(5)
        await write(bench, 7, 8)
        assert {each.data for each in await bench.until_arrived(7)} == {1, 2, 3, 5, 6, 7, 8}
        assert await held(bench) == {4}
        assert await bench.service.fetchval("SELECT count(*) FROM pillion.held_audit") == 0


async def test_it_is_kept_over_a_relay_that_ends_at_any_moment(bench: Bench) -> None:
    """Whoever comes next reads it again, and keeps it no second time."""
    settings = await prepared(bench, page=5)
    await write(bench, 1, 40, BAD[:3])
    for _ in range(3):
        async with bench.relay(settings):
            # Not cancelled in the middle of its way to NATS, which would leave a socket open.
            with contextlib.suppress(AssertionError):
                await bench.until_arrived(37, within=0.5)
            await bench.end_sessions()
    async with bench.relay(settings):
        await bench.until_arrived(37)

        async def all_held() -> bool:
            return await held(bench) == {*BAD[:3]}

        await until(all_held, within=30)
    assert {each.data for each in await bench.arrived()} == {*range(1, 41)} - {*BAD[:3]}
