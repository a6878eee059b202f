"""The real decisions of the relay, in a world of transactions, crashes and zombies that a seed makes."""

from collections.abc import Callable, Iterator

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.outbox import turns
from agent.outbox.cursor import Place
from agent.outbox.snapshot import Snapshot
from tests.unit.outbox.simulation.database import Database, Row
from tests.unit.outbox.simulation.mutants import MUTANTS
from tests.unit.outbox.simulation.relay import broken
from tests.unit.outbox.simulation.world import Scenario, play


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of refusals are said in these worlds, and nobody reads them."""
    with structlog.testing.capture_logs():
        yield


scenarios = st.builds(
    Scenario,
    seed=st.integers(0, 2**32),
    page=st.integers(1, 12),
    buckets=st.integers(1, 5),
    keys=st.integers(4, 8),
    bulk=st.sampled_from([0, 0, 40, 150]),
    relays=st.integers(1, 3),
    kills=st.sampled_from([0.0, 1.0, 4.0]),
    thefts=st.sampled_from([0.0, 1.0, 4.0]),
    crashes=st.sampled_from([0.0, 0.5, 2.0]),
    refusing=st.sampled_from([0, 10, 40]),
    losing=st.sampled_from([0.0, 0.01, 0.05]),
    hasty=st.sampled_from([0.2, 0.5, 1.0]),
)


def harsh(seed: int) -> Scenario:
    """Everything at once."""
    return Scenario(
        seed,
        page=1 + seed % 5,
        bulk=60,
        relays=1 + seed % 3,
        kills=2.0,
        thefts=2.0,
        crashes=0.5,
        refusing=15,
        losing=0.02,
    )


@settings(max_examples=80, deadline=None)
@given(scenarios)
def test_everything_arrives_nothing_else_does_and_every_key_is_in_order(scenario: Scenario) -> None:
    """Rollbacks, savepoints, two phases, long transactions, large ticks, asynchronous commits that a crash takes
    back, relays that share, are killed, taken for dead or robbed and go on as zombies, refused and lost messages; the
    invariant of every bucket is looked at whenever it moves and before it is saved."""
    assert play(scenario).problems == []


CRASHED = Scenario(11, seconds=0.6, page=2, buckets=2, writers=3, bulk=9, refusing=9)


@pytest.mark.parametrize("start", range(8))
def test_a_relay_may_be_killed_at_every_single_point(start: int) -> None:
    """At every query, gate, save and acknowledgement of a history, one after another."""
    total = play(CRASHED).steps
    assert total > 100
    for fatal in range(start + 1, total + 1, 8):
        result = play(Scenario(**{**vars(CRASHED), "fatal": fatal}))
        assert result.problems == [], fatal
        assert result.lives > 1


def gentle(seed: int) -> Scenario:
    """Nothing breaks; every tick fits into a page."""
    return Scenario(seed, page=50)


def sudden(seed: int) -> Scenario:
    """Crashes that take much back."""
    return Scenario(seed, crashes=5.0, hasty=1.0, writers=2, seconds=3.0)


WORLDS = (gentle, harsh, sudden)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_each_mistake_that_a_relay_could_make_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    monkeypatch.setattr(turns, "Delivery", mutant.delivery)
    monkeypatch.setattr(turns, "Ahead", mutant.ahead)
    assert any(play(world(seed), mutant.parts).problems for seed in range(25) for world in WORLDS)


@pytest.mark.parametrize("world", WORLDS)
def test_no_mistake_is_found_in_the_same_worlds_where_there_is_none(world: Callable[[int], Scenario]) -> None:
    assert [play(world(seed)).problems for seed in range(6)] == [[]] * 6


def test_relays_that_share_and_hand_over_all_the_time_lose_and_invert_nothing() -> None:
    results = [
        play(Scenario(seed, relays=3, page=2, buckets=5, kills=1.0, thefts=0.5, refusing=20, losing=0.01))
        for seed in range(10)
    ]
    assert [each.problems for each in results] == [[]] * 10
    assert sum(each.given for each in results) > 20


def test_a_large_tick_of_many_pages_survives_whatever_comes() -> None:
    """3,000 rows in pages of 10 are to this world what 300,000 in pages of 1,000 are to the real one."""
    scenario = Scenario(5, page=10, bulk=3000, writers=3, kills=2.0, thefts=1.0, losing=0.002, seconds=3.0)
    result = play(scenario)
    assert result.problems == []
    assert result.verdict.changes > 3000
    assert result.lives > 2


def test_the_worlds_are_hard_enough() -> None:
    results = [play(harsh(seed)) for seed in range(8)]
    assert sum(each.verdict.vanished for each in results) > 0, "no commit was taken back"
    assert sum(each.verdict.duplicates for each in results) > 50
    assert sum(each.crashes for each in results) > 4
    assert sum(each.lives for each in results) > 40
    assert sum(each.given for each in results) > 5
    assert sum(each.lost for each in results) > 5


def test_a_place_that_covers_what_is_not_acknowledged_breaks_the_invariant() -> None:
    rows = [Row(1, 5, 0, "a", 1, "t1"), Row(2, 7, 0, "a", 2, "t2"), Row(3, 7, 0, "b", 1, "t3")]
    base, target = Snapshot(6, 6), Snapshot(8, 8)
    assert broken(Place(base), 0, rows, {"t1"}) == []
    assert broken(Place(base), 0, rows, ()) == rows[:1]
    assert broken(Place(base, target, 2), 0, rows, {"t1"}) == rows[1:2]
    assert broken(Place(base, target, 2), 0, rows, {"t1", "t2"}) == []
    assert broken(Place(target), 1, rows, ()) == []


def test_the_simulated_database_sees_as_postgresql_does() -> None:
    database = Database()
    early, late = database.begin(), database.begin()
    database.number(early)
    first = database.insert(late, 0, "a", "late")
    database.commit(late, hasty=False)
    between = database.snapshot()
    assert between.sees(late.xid)
    assert not between.sees(early.xid)
    assert between.xip == (early.xid,)
    second = database.insert(early, 0, "b", "early")
    database.commit(early, hasty=True)
    assert (second.id > first.id, second.xid < first.xid) == (True, True)
    assert database.snapshot().sees(early.xid)
    database.crash()
    assert [row.token for row in database.rows] == ["late"]
    again = database.begin()
    assert database.insert(again, 0, "b", "again").id == second.id, "numbers come again after a crash"
