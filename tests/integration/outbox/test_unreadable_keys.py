"""A row whose key can't be read is set aside alone, on a database whose texts are bytes of any kind."""

import asyncio
import contextlib
from collections.abc import Collection
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
    settings = await prepared(bench, page=7)

    async def share(relays: list[Relay]) -> bool:
        return [(await each.status())[0].buckets for each in relays] == [32, 32]

    async with bench.relay(settings) as one, bench.relay(settings) as two:
        await until(lambda: share([one, two]), within=20)
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


async def test_where_a_refused_event_blocks_the_feed_stands_still_and_says_so_until_it_is_mended(
    bench: Bench,
) -> None:
    settings = await prepared(bench, on_refused="block")
    await write(bench, 1, 6, (4,))
    async with bench.relay(settings):

        async def told() -> bool:
            assert "the key of row 4 can't be read" in str(bench.board.reports), bench.board.reports
            return True

        await until(told, within=20)
        assert await bench.count() == 0
        await bench.service.execute("UPDATE ob SET key = 'mended' WHERE id = 4")
        assert sorted(each.data for each in await bench.until_arrived(6)) == [1, 2, 3, 4, 5, 6]


async def test_status_counts_what_is_unsent_though_a_key_can_not_be_read(bench: Bench) -> None:
    settings = await prepared(bench)
    await write(bench, 1, 6, (4,))
    async with Database(lambda: bench.url).connection() as connection:
        (found,) = await survey(connection, settings)
    assert (found.unsent, found.problem) == (6, "")


async def test_with_skip_it_is_left_out_and_recorded(bench: Bench) -> None:
    settings = await prepared(bench, on_refused="skip")
    await write(bench, 1, 6, (4,))
    async with bench.relay(settings):
        await bench.until_arrived(5)
        await write(bench, 7, 8)
        assert {each.data for each in await bench.until_arrived(7)} == {1, 2, 3, 5, 6, 7, 8}
    told = await bench.service.fetch("SELECT what, row_ids FROM pillion.held_audit")
    assert [(row["what"], row["row_ids"]) for row in told] == [("skipped", [4])]


async def test_it_is_kept_over_a_relay_that_ends_at_any_moment(bench: Bench) -> None:
    """Whoever comes next reads it again, and keeps it no second time."""
    settings = await prepared(bench, page=5)
    await write(bench, 1, 40, BAD[:3])
    for _ in range(3):
        async with bench.relay(settings):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await bench.until_arrived(37)
            await bench.end_sessions()
    async with bench.relay(settings):
        await bench.until_arrived(37)

        async def all_held() -> bool:
            return await held(bench) == {*BAD[:3]}

        await until(all_held)
    assert {each.data for each in await bench.arrived()} == {*range(1, 41)} - {*BAD[:3]}
