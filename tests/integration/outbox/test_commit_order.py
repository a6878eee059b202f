"""Events in order of commit: a service that writes the event before it locks what the event is about."""

import asyncio
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest

from agent.config.sections.outbox import Outbox, Table
from tests.integration.outbox.bench import Bench
from tests.waiting import until

Order = Literal["statement", "commit"]
OB = "CREATE TABLE ob (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), key text, payload jsonb)"
PARTS = """
CREATE TABLE ob (id uuid DEFAULT gen_random_uuid(), key text, payload jsonb, day int DEFAULT 1)
    PARTITION BY RANGE (day);
CREATE TABLE ob_1 PARTITION OF ob FOR VALUES FROM (1) TO (2);
CREATE TABLE ob_rest PARTITION OF ob FOR VALUES FROM (2) TO (9) PARTITION BY LIST (day);
CREATE TABLE ob_2 PARTITION OF ob_rest FOR VALUES IN (2)"""
AGGREGATE = "CREATE TABLE aggregate (k int PRIMARY KEY, v bigint NOT NULL DEFAULT 0)"
NOTE = "INSERT INTO ob (key, payload) VALUES ('k', to_jsonb($1::text))"


def settings_of(bench: Bench, order: Order = "commit", **more: Any) -> Outbox:
    return bench.settings(tables=(Table(table="ob", order=order),), **more)


async def prepared(bench: Bench, order: Order = "commit", ddl: str = OB, **more: Any) -> Outbox:
    await bench.service.execute(
        f"{ddl};{AGGREGATE}; INSERT INTO aggregate SELECT n FROM generate_series(0, 5) n"
    )
    settings = settings_of(bench, order, **more)
    await bench.init(settings)
    assert await bench.init(settings) == 0
    return settings


async def published(bench: Bench, settings: Outbox, count: int) -> list[Any]:
    """What arrives of events that are all there, and so are read at once."""
    async with bench.relay(settings):
        return [each.data for each in await bench.until_arrived(count, within=120)]


Write = Callable[[Any, str], Awaitable[None]]


async def by_insert(connection: Any, text: str) -> None:
    await connection.execute(NOTE, text)


async def by_copy(connection: Any, text: str) -> None:
    await connection.copy_records_to_table("ob", records=[("k", f'"{text}"')], columns=["key", "payload"])


async def by_savepoint(connection: Any, text: str) -> None:
    await connection.execute("SAVEPOINT s")
    await connection.execute(NOTE, f"{text}, taken back")
    await connection.execute("ROLLBACK TO s")
    await connection.execute("SAVEPOINT s")
    await connection.execute(NOTE, text)
    await connection.execute("RELEASE s")


async def by_upsert(connection: Any, text: str) -> None:
    await connection.execute(
        "INSERT INTO ob (key, payload) VALUES ('k', to_jsonb($1::text)) ON CONFLICT DO NOTHING", text
    )


End = Callable[[Any], Awaitable[None]]


async def at_once(connection: Any) -> None:
    await connection.execute("COMMIT")


async def in_two_phases(connection: Any) -> None:
    name = f"g{uuid.uuid4().hex}"
    await connection.execute(f"PREPARE TRANSACTION '{name}'")
    await asyncio.sleep(0.05)
    await connection.execute(f"COMMIT PREPARED '{name}'")


async def crossed(bench: Bench, write: Write = by_insert, end: End = at_once) -> None:
    """The second to write its event is the first to have the lock."""
    late, early = await bench.connect(), await bench.connect()
    for each, text in ((late, "late"), (early, "early")):
        await each.execute("BEGIN")
        await write(each, text)
    await early.execute("UPDATE aggregate SET v = v + 1 WHERE k = 1")
    waits = asyncio.create_task(late.execute("UPDATE aggregate SET v = v + 1 WHERE k = 1"))
    await until(lambda: _waits(bench))
    await end(early)
    await waits
    await end(late)


async def _waits(bench: Bench) -> bool:
    return bool(
        await bench.service.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


@pytest.mark.parametrize(
    ("order", "expected"), [("statement", ["late", "early"]), ("commit", ["early", "late"])]
)
async def test_who_waited_for_a_lock_comes_second_only_in_order_of_commit(
    bench: Bench, order: Order, expected: list[str]
) -> None:
    settings = await prepared(bench, order)
    await crossed(bench)
    assert await published(bench, settings, 2) == expected


@pytest.mark.parametrize("ddl", [OB, PARTS], ids=["plain", "partitioned"])
@pytest.mark.parametrize("end", [at_once, in_two_phases])
@pytest.mark.parametrize("write", [by_insert, by_copy, by_savepoint, by_upsert])
async def test_however_the_events_are_written_the_commit_gives_them_their_order(
    bench: Bench, write: Write, end: End, ddl: str
) -> None:
    settings = await prepared(bench, ddl=ddl)
    await crossed(bench, write, end)
    assert await published(bench, settings, 2) == ["early", "late"]


async def test_a_transactions_own_events_stay_in_the_order_in_which_it_wrote_them(bench: Bench) -> None:
    settings = await prepared(bench, page=10)
    await bench.service.execute(
        "INSERT INTO ob (key, payload) SELECT 'k', to_jsonb(n) FROM generate_series(0, 299) n ORDER BY n"
    )
    assert await published(bench, settings, 300) == list(range(300))


async def test_events_that_are_changed_or_deleted_before_the_commit_are_as_the_commit_leaves_them(
    bench: Bench,
) -> None:
    settings = await prepared(bench)
    async with bench.service.transaction():
        for text in ("a", "b", "c"):
            await bench.service.execute(NOTE, text)
        await bench.service.execute("DELETE FROM ob WHERE payload = '\"b\"'")
        await bench.service.execute("""UPDATE ob SET payload = '"d"' WHERE payload = '"a"'""")
    assert await published(bench, settings, 2) == ["d", "c"]
    assert await bench.service.fetchval("SELECT count(*) FROM ob WHERE pillion_id IS NULL") == 0


async def test_constraints_that_are_set_immediate_still_number_every_row(bench: Bench) -> None:
    settings = await prepared(bench)
    async with bench.service.transaction():
        await bench.service.execute(NOTE, "a")
        await bench.service.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await bench.service.execute(NOTE, "b")
    assert await published(bench, settings, 2) == ["a", "b"]


async def test_serializable_transactions_that_only_write_events_do_not_conflict(bench: Bench) -> None:
    settings = await prepared(bench)
    both = [await bench.connect(), await bench.connect()]
    for round_ in range(10):
        for each in both:
            await each.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            await each.execute(NOTE, f"{round_}")
        for each in both:
            await each.execute("COMMIT")
    assert len(await published(bench, settings, 20)) == 20


class Writers:
    """Transactions that write events first and lock after, by turns and at once; ``versions`` tells which version of
    its key each committed event is about."""

    def __init__(self, bench: Bench) -> None:
        self.versions: dict[str, tuple[int, int]] = {}
        self._bench = bench
        self._ends = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, count: int) -> None:
        self._tasks = [asyncio.create_task(self._work(random.Random(number))) for number in range(count)]

    async def stop(self) -> None:
        self._ends.set()
        await asyncio.gather(*self._tasks)

    async def _work(self, chance: random.Random) -> None:
        connection = await self._bench.connect()
        while not self._ends.is_set():
            await self._transaction(connection, chance)

    async def _transaction(self, connection: Any, chance: random.Random) -> None:
        keys = sorted(chance.sample(range(6), chance.choice([1, 1, 2])))
        texts = [f"{uuid.uuid4()}" for _ in keys]
        await connection.execute("BEGIN")
        for key, text in zip(keys, texts, strict=True):
            if chance.random() < 0.2:
                await by_savepoint(connection, "never")
                await connection.execute("DELETE FROM ob WHERE payload = '\"never\"'")
            await connection.execute(NOTE.replace("'k'", "$2::int::text"), text, key)
        await asyncio.sleep(chance.random() * 0.01)
        done = []
        for key, text in zip(keys, texts, strict=True):
            version = await connection.fetchval(
                "UPDATE aggregate SET v = v + 1 WHERE k = $1 RETURNING v", key
            )
            done.append((text, (key, version)))
        dice = chance.random()
        if dice < 0.1:
            await connection.execute("ROLLBACK")
            return
        await (in_two_phases(connection) if dice < 0.2 else at_once(connection))
        self.versions.update(done)


def inversions(versions: dict[str, tuple[int, int]], arrived: list[Any]) -> int:
    """How often a key's version came after a higher one, in first occurrences."""
    newest: dict[int, int] = {}
    found = 0
    for text in dict.fromkeys(arrived):
        key, version = versions[text]
        found += version < newest.get(key, 0)
        newest[key] = version
    return found


@pytest.mark.parametrize("order", ["statement", "commit"])
async def test_many_writers_that_write_first_and_lock_after_are_inverted_only_without_it(
    bench: Bench, order: Order
) -> None:
    await bench.make_stream()
    settings = await prepared(bench, order, page=10)
    work = Writers(bench)
    work.start(10)
    async with bench.relay(settings):
        await until(lambda: len(work.versions) > 100, within=90)
    # Without a relay a backlog grows, in which one tick holds many events of a key.
    await until(lambda: len(work.versions) > 300, within=90)
    await work.stop()
    arrived = await published(bench, settings, len(work.versions))
    assert set(arrived) == set(work.versions)
    assert bool(inversions(work.versions, arrived)) is (order == "statement")


def test_the_count_of_inversions_counts_them() -> None:
    versions = {text: (1, number) for number, text in enumerate("abc")}
    assert [inversions(versions, list(each)) for each in itertools.permutations("abc")] == [0, 1, 1, 1, 1, 2]
    assert inversions(versions, ["b", "a", "c", "a"]) == 1
