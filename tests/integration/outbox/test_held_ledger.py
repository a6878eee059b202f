"""The statements about what is set aside, on the real PostgreSQL: under the epoch, once, and in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from agent.config.sections.outbox import Changes
from agent.outbox.database import Connection, Database
from agent.outbox.delivery import Aside, Verdict
from agent.outbox.leases import Ledger, LostError
from agent.outbox.parked import keys
from agent.outbox.parked.ledger import Due, HeldLedger, Outcome
from agent.outbox.shares import Watch
from agent.outbox.suspicion import Suspicion
from tests.integration.outbox.bench import Bench
from tests.unit.outbox.test_cursor import event
from tests.waiting import until

FEED = "pillion.outbox"
EPOCHS = {1: 5, 2: 5, 3: 5}


@pytest.fixture
async def connection(bench: Bench) -> AsyncIterator[Connection]:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY)")
    await bench.init(bench.settings(changes=(Changes(table="t"),)))
    await bench.service.execute("UPDATE pillion.bucket SET epoch = 5, owner = 'me'")
    # A test that holds a lock on purpose may be put to sleep meanwhile.
    async with Database(lambda: bench.url, settings={"lock_timeout": "60000"}).connection() as connection:
        yield connection


@pytest.fixture
def ledger(connection: Connection) -> HeldLedger:
    return HeldLedger(connection, "pillion", FEED, lambda: EPOCHS)


def asides(rows: Sequence[tuple[int, int | None]], verdict: Verdict = "parked") -> list[Aside]:
    return [Aside(n, event(row, key), verdict, "no", 0.0) for n, (row, key) in enumerate(rows)]


def due(key: int) -> Due:
    return Due(keys.named(str(key)), key % 4, "replaying", 0, 0)


async def held(bench: Bench) -> list[int]:
    return [
        row["row_id"] for row in await bench.service.fetch("SELECT row_id FROM pillion.held_row ORDER BY seq")
    ]


async def test_rows_are_kept_once_and_in_the_order_in_which_they_were_given(
    bench: Bench, ledger: HeldLedger
) -> None:
    await ledger.append(asides([(9, 1), (12, 2), (10, 1)]), {}, 5.0)
    await ledger.append(asides([(9, 1), (12, 2), (10, 1), (3, 1)]), {}, 5.0)
    assert await held(bench) == [9, 12, 10, 3]
    known, rows = await ledger.known([1, 2])
    assert rows == {keys.named("1"): 3, keys.named("2"): 1}
    assert {each.state for each in known.values()} == {"parked"}


async def test_thousands_of_rows_keep_their_order(bench: Bench, ledger: HeldLedger) -> None:
    rows = [((number * 7919) % 100_003, 1) for number in range(1, 10_001)]
    await ledger.append(asides(rows), {}, 5.0)
    assert await held(bench) == [row for row, _ in rows]


async def test_who_lost_a_bucket_changes_nothing_in_it(bench: Bench, ledger: HeldLedger) -> None:
    await ledger.append(asides([(1, 1)]), {}, 5.0)
    await bench.service.execute("UPDATE pillion.bucket SET epoch = 6 WHERE bucket = 1")
    before = await bench.service.fetch("SELECT * FROM pillion.held_key")
    one = due(1)
    for lost in (
        ledger.append(asides([(2, 1)]), {}, 5.0),
        ledger.append(asides([(2, 1)], "skipped"), {}, 5.0),
        ledger.begin([one], 10),
        ledger.settle([one], [1], [Outcome(one.id, 1, "held", "x", 1.0)]),
        ledger.free([one]),
        ledger.attempt({1}),
    ):
        with pytest.raises(LostError):
            await lost
    assert await held(bench) == [1]
    assert await bench.service.fetch("SELECT * FROM pillion.held_key") == before
    assert await bench.service.fetchval("SELECT count(*) FROM pillion.held_audit") == 0


async def test_a_claim_that_is_being_made_is_waited_for_and_then_seen(
    bench: Bench, ledger: HeldLedger
) -> None:
    thief = await bench.connect()
    await thief.execute("BEGIN; UPDATE pillion.bucket SET epoch = epoch + 1 WHERE bucket = 1")
    append = asyncio.create_task(ledger.append(asides([(1, 1)]), {}, 5.0))
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pillion' AND wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )

    async def waiting() -> bool:
        return bool(await bench.service.fetchval(waits))

    await until(waiting)
    await thief.execute("COMMIT")
    with pytest.raises(LostError):
        await append
    assert await held(bench) == []


async def test_a_key_with_rows_is_never_let_go_and_one_without_is(bench: Bench, ledger: HeldLedger) -> None:
    await ledger.append(asides([(1, 1), (2, 1), (3, 2)]), {}, 5.0)
    one = due(1)
    found = await ledger.begin([one], 10)
    assert [(each.row, each.key) for each in found] == [(1, one.id), (2, one.id)]
    await ledger.settle([one], [found[0].seq], [])
    assert await ledger.free([one]) == []
    await ledger.settle([one], [found[1].seq], [])
    assert await ledger.free([one, due(2)]) == [one.id]
    assert await held(bench) == [3]
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await bench.service.execute("DELETE FROM pillion.held_key")


async def test_a_batch_without_an_end_is_counted_until_one_has_an_end(
    bench: Bench, ledger: HeldLedger
) -> None:
    await ledger.append(asides([(1, 1)]), {}, 5.0)
    await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
    one = due(1)
    for tries in range(3):
        (found,) = await ledger.due([1], held=True)
        assert found.tries == tries
        await ledger.begin([one], 10)
    await ledger.settle([one], [], [Outcome(one.id, 1, "held", "busy", 60.0)])
    assert await ledger.due([1], held=True) == [], "it is not due yet"
    row = await bench.service.fetchrow("SELECT state, reason, attempts, tries FROM pillion.held_key")
    assert tuple(row) == ("held", "busy", 1, 0)


async def test_a_living_process_takes_back_its_own_notes_also_of_a_bucket_that_is_another_ones_by_now(
    bench: Bench, ledger: HeldLedger
) -> None:
    await ledger.append(asides([(1, 1), (2, 2)]), {}, 5.0)
    one, two = due(1), due(2)
    for _ in range(2):
        await ledger.begin([one, two], 10)
    await bench.service.execute("UPDATE pillion.bucket SET owner = 'other', epoch = epoch + 1")
    await ledger.take_back({one.id: 1, two.id: 5})
    rows = await bench.service.fetch("SELECT id, tries FROM pillion.held_key")
    assert {row["id"]: row["tries"] for row in rows} == {one.id: 1, two.id: 0}


async def test_a_reason_with_what_postgresql_can_not_store_is_kept_all_the_same(
    bench: Bench, ledger: HeldLedger
) -> None:
    strange = Aside(0, event(1, 1), "parked", "a\0b\ud800" + "x" * 9999, 0.0)
    await ledger.append([strange], {}, 5.0)
    reason = await bench.service.fetchval("SELECT reason FROM pillion.held_key")
    assert reason.startswith("ab?x")
    assert len(reason) <= keys.LONGEST_REASON


async def test_a_row_at_which_two_owners_ended_in_a_row_is_convicted_and_no_other(
    bench: Bench, connection: Connection
) -> None:
    leases = Ledger("pillion", FEED, lambda: 0.0)
    names = (f"owner{number}" for number in range(99))

    async def claimed(*, dies_at: int | None) -> Suspicion:
        watch = Watch(1.0, lambda: 0.0, lambda _: True)
        claim = await leases.join(connection, next(names), watch, 1)
        assert claim is not None
        assert len(claim.epochs) == 64
        if dies_at is not None:
            await HeldLedger(connection, "pillion", FEED, lambda: claim.epochs).attempt(set(), 1, dies_at)
        return claim.taken.suspicion

    await bench.service.execute("UPDATE pillion.bucket SET owner = NULL")
    for deaths in range(4):
        found = await claimed(dies_at=None)
        assert found.unclean[1] == deaths
    assert 1 in (await claimed(dies_at=10)).careful
    assert (await claimed(dies_at=11)).rows == {}, "one died at 10"
    assert (await claimed(dies_at=11)).rows == {}, "one died at 11, the one before at 10"
    assert (await claimed(dies_at=None)).rows == {1: 11}
    assert (await claimed(dies_at=None)).rows == {1: 11}, "nobody got past it yet"
    await bench.service.execute("UPDATE pillion.bucket SET owner = NULL")
    assert (await claimed(dies_at=None)).rows == {}
