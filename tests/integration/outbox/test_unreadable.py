"""A row that can't be read holds up its own key and nothing else."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.config.sections.outbox import Outbox, Table
from agent.demo import backing
from agent.outbox import shape
from agent.outbox.cursor import Poll
from agent.outbox.database import Database
from agent.outbox.feeds import feeds
from agent.outbox.parked.desk import Desk, Which
from agent.outbox.reader import Reader
from agent.outbox.snapshot import Snapshot
from agent.runtime.errors import Permanent
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_presets import EVENTUATE
from tests.waiting import until

SECRET = "4711-4711"
MEMORY = 350_000_000
"""Bytes that a process of the server may have."""
LARGE = 140_000_000
"""Bytes of a value as text, which takes twice as much while it is made."""

# Its values are written as text by code of the service's, as those of many extensions are.
ODD = f"""
CREATE TYPE odd AS (n int);
CREATE TABLE broken (n int);
CREATE FUNCTION odd_text(odd) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM public.broken b WHERE b.n = ($1).n) THEN
        RAISE data_exception USING MESSAGE = '{SECRET}';
    END IF;
    RETURN ($1).n::text;
END $$;
CREATE CAST (odd AS text) WITH FUNCTION odd_text(odd);
CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload odd)
"""
WRITE = (
    "INSERT INTO ob (key, payload) SELECT 'k' || n % 10, ROW(n)::odd FROM generate_series($1::int, $2::int) n"
)


async def prepared(bench: Bench, **more: Any) -> Outbox:
    await bench.service.execute(ODD)
    settings = bench.settings(tables=(Table(table="ob"),), **more)
    await bench.init(settings)
    return settings


async def parked(bench: Bench, rows: int) -> list[tuple[str, str, str]]:
    """The keys that are set aside, once they have so many rows."""

    async def there() -> bool:
        count = await bench.service.fetchval("SELECT count(*) FROM pillion.held_row")
        assert count == rows, (count, bench.board.reports)
        return True

    await until(there, within=60)
    return [
        tuple(row) for row in await bench.service.fetch("SELECT key, state, reason FROM pillion.held_key")
    ]


def values(bench: Bench, arrived: list[Any], key: str = "") -> list[int]:
    return [each.data for each in arrived if not key or each.key == key]


@pytest.mark.parametrize(
    ("page", "policy"), [(10, "park"), (1000, "park"), (1000, "skip")], ids=["walked", "polled", "skip"]
)
async def test_its_key_is_parked_all_others_arrive_and_it_is_replayed_when_it_can_be_read(
    bench: Bench, page: int, policy: str
) -> None:
    settings = await prepared(bench, page=page, on_refused=policy)
    await bench.service.execute("INSERT INTO broken VALUES (23), (64)")
    await bench.service.execute(WRITE, 1, 70)
    bad = {*range(23, 71, 10), *range(64, 71, 10)}
    async with bench.relay(settings):
        arrived = await bench.until_arrived(70 - len(bad))
        assert {each.data for each in arrived} == {*range(1, 71)} - bad
        found = await parked(bench, len(bad))
        assert {(key, state) for key, state, _ in found} == {("k3", "parked"), ("k4", "parked")}
        assert all(
            "can't give it as text (22000)" in reason and SECRET not in reason for _, _, reason in found
        )
        await bench.service.execute(WRITE, 71, 80)
        await parked(bench, len(bad) + 2)
        async with Database(lambda: bench.url).connection() as connection:
            desk = Desk(connection, "pillion")
            await desk.replay(Which(("public.ob",)))

            async def parked_again() -> bool:
                states = [each.state for each in await desk.look(("public.ob",))]
                return states == ["parked", "parked"]

            await until(parked_again, within=60)
            await bench.service.execute("DELETE FROM broken")
            await desk.replay(Which(("public.ob",)))
        arrived = await bench.until_arrived(80)
    for key in ("k3", "k4"):
        assert values(bench, arrived, key) == sorted(values(bench, arrived, key))
    assert sorted(values(bench, arrived)) == [*range(1, 81)]


async def test_where_a_refused_event_blocks_it_blocks_its_bucket_only(bench: Bench) -> None:
    settings = await prepared(bench, on_refused="block")
    await bench.service.execute("INSERT INTO broken VALUES (23)")
    await bench.service.execute(WRITE, 1, 30)
    buckets = "SELECT key, get_byte(sha256(convert_to(key, 'UTF8')), 0) & 63 AS bucket FROM ob GROUP BY 1"
    bucket = {row["key"]: row["bucket"] for row in await bench.service.fetch(buckets)}
    held = {n for n in range(23, 31) if bucket[f"k{n % 10}"] == bucket["k3"]}
    async with bench.relay(settings):
        arrived = await bench.until_arrived(30 - len(held))
        assert {each.data for each in arrived} == {*range(1, 31)} - held
        await bench.service.execute("DELETE FROM broken")
        await bench.until_arrived(30)


async def test_a_key_that_is_too_long_for_an_event_is_parked_and_never_read_whole(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute(
        "INSERT INTO ob (key, payload) VALUES (repeat('x', 50000000), ROW(1)::odd), ('k', ROW(2)::odd)"
    )
    (feed,) = feeds(settings)
    async with Database(lambda: bench.url).connection() as connection:
        reader = Reader(connection, await shape.look(connection, feed), feed.name, 10)
        page = await reader.poll(Poll(frozenset(range(64)), Snapshot(3, 3)))
    assert [len(row["key"]) for row in page.rows] == [4097, 1]
    async with bench.relay(settings):
        assert [each.data for each in await bench.until_arrived(1)] == [2]
        ((key, state, reason),) = await parked(bench, 1)
    assert (set(key), state) == ({"x"}, "parked")
    assert "longer than 4096 characters" in reason


async def test_two_keys_that_are_too_long_and_begin_alike_are_told_apart(bench: Bench) -> None:
    settings = await prepared(bench)
    await bench.service.execute(
        "INSERT INTO ob (key, payload) SELECT repeat('x', 5000) || n % 2, ROW(n)::odd FROM generate_series(1, 4) n"
    )
    async with bench.relay(settings):
        found = await parked(bench, 4)
        assert [(state, "longer than 4096" in reason) for _, state, reason in found] == [("parked", True)] * 2
        async with Database(lambda: bench.url).connection() as connection:
            desk = Desk(connection, "pillion")
            (done,) = await desk.discard(Which(("public.ob",), key="x" * 5000 + "1"), "too long")
            assert done.rows == (1, 3)
            with pytest.raises(Permanent, match="not set aside"):
                await desk.discard(Which(("public.ob",), key="x" * 5000 + "2"), "too long")


async def test_headers_too_large_to_look_for_a_key_in_hold_up_nothing_else(bench: Bench) -> None:
    await bench.service.execute(EVENTUATE)
    table = Table(table="eventuate.message", preset="eventuate", topic=f"{bench.stream}.{{aggregatetype}}")
    settings = bench.settings(tables=(table,))
    await bench.init(settings)
    await bench.service.execute(
        "INSERT INTO eventuate.message SELECT n::text, 'shop.Order', "
        """'{"PARTITION_ID":"' || n || '","x":"' || CASE n WHEN 2 THEN repeat('x', 270000000) ELSE '' END || '"}', """
        "n::text FROM generate_series(1, 3) n"
    )
    async with bench.relay(settings):
        assert sorted(each.data for each in await bench.until_arrived(2, within=150)) == [1, 3]
        ((key, state, reason),) = await parked(bench, 1)
    assert (key, state) == (None, "parked")
    assert "its key can't be read" in reason


@pytest.fixture
async def limited(shared_nats: backing.Nats, short_folder: Path) -> AsyncIterator[Bench]:
    """A bench on a server of its own, each of whose processes may have so much memory and no more."""
    short_folder.chmod(0o777)
    server = backing.Postgres(
        short_folder / "limited", settings={"fsync": "off", "shared_buffers": "16MB", "jit": "off"}
    )
    prlimit = shutil.which("prlimit")
    assert prlimit is not None
    server.argv = [prlimit, f"--as={MEMORY}", *server.argv]
    await asyncio.to_thread(server.start)
    bench = Bench(server.url, shared_nats.url)
    try:
        await bench.open()
        yield bench
    finally:
        await bench.close()
        await asyncio.to_thread(server.kill)


@pytest.mark.parametrize("policy", ["park", "skip"])
async def test_a_row_over_which_postgresql_runs_out_of_memory_each_time_is_parked_with_its_key(
    limited: Bench, policy: str
) -> None:
    """As under vm.overcommit_memory=2, or in a container: no other row needs so much."""
    bench = limited
    await bench.service.execute("CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)")
    settings = bench.settings(tables=(Table(table="ob"),), on_refused=policy)
    await bench.init(settings)
    # Numbers that are short until they are written out.
    await bench.service.execute(
        "INSERT INTO ob (key, payload) SELECT 'k' || n, CASE n WHEN 2 "
        f"THEN ('[' || repeat('1e131071,', {LARGE // 131072}) || '1]')::jsonb ELSE to_jsonb(n) END "
        "FROM generate_series(1, 3) n"
    )
    async with bench.relay(settings):
        assert sorted(each.data for each in await bench.until_arrived(2, within=150)) == [1, 3]
        ((key, state, reason),) = await parked(bench, 1)
        assert (key, state) == ("k2", "parked")
        assert "runs out of memory over it (53200)" in reason
        await bench.service.execute("UPDATE ob SET payload = '2' WHERE id = 2")
        async with Database(lambda: bench.url).connection() as connection:
            await Desk(connection, "pillion").replay(Which(("public.ob",)))
        assert sorted(each.data for each in await bench.until_arrived(3)) == [1, 2, 3]
