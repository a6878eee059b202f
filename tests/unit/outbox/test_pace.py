"""A feed is read fast, but never at the cost of who comes first."""

import math

from agent.outbox.latency import OLD, Latency
from agent.outbox.pace import BUSY, FIRST, IDLE, LAST, SLOWED, SLOWEST, Done, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pace(clock: Clock, **more: float) -> Pace:
    made = Pace(clock, 1000, **{"drain_rate": 0.0, "max_latency": 0.1, **more})
    made.linked()
    return made


def done(
    clock: Clock, rows: int = 0, *, has_more: bool = False, late: float = 0.0, took: float = 0.0
) -> Done:
    began = clock.now
    clock.now += took
    return Done(began, rows > 0, has_more, rows, late)


def test_in_the_middle_of_a_tick_there_is_no_rest() -> None:
    clock = Clock()
    assert pace(clock).rest(done(clock, 1000, has_more=True)) == 0


def test_busy_polls_begin_in_steps_and_idle_ones_become_rare() -> None:
    clock = Clock()
    feed = pace(clock)
    assert math.isclose(feed.rest(done(clock, 5, took=0.002)), BUSY - 0.002)
    assert feed.rest(done(clock, 5, took=1.0)) == BUSY / 5
    rests = [feed.rest(done(clock)) for _ in range(10)]
    assert rests == sorted(rests)
    assert (rests[0], rests[-1]) == (2 * BUSY, IDLE)
    assert feed.rest(done(clock, 1)) == BUSY, "work makes it quick again"


def drained(clock: Clock, feed: Pace, seconds: float, late: float = 0.0) -> float:
    """Rows a second that are published if all pages are full and take no time."""
    rows, ends = 0, clock.now + seconds
    while clock.now < ends:
        size = feed.size
        rows += size
        clock.now += max(feed.rest(done(clock, size, has_more=True, late=late)), 1e-4)
    return rows / seconds


def test_a_drain_never_exceeds_its_rate() -> None:
    clock = Clock()
    feed = pace(clock, drain_rate=500)
    assert 450 <= drained(clock, feed, 10) <= 510


def test_a_broker_that_was_away_is_met_gently_and_then_at_full_speed() -> None:
    clock = Clock()
    feed = pace(clock)
    assert math.isinf(feed.limit)
    feed.lost()
    clock.now += 60
    feed.linked()
    assert feed.limit == FIRST
    assert FIRST <= drained(clock, feed, 1) <= 2.1 * FIRST
    assert 2 * FIRST <= drained(clock, feed, 1) <= 4.2 * FIRST
    clock.now += math.log2(LAST / FIRST)
    assert math.isinf(feed.limit)
    assert feed.size == 1000


def test_a_broker_that_is_lost_again_is_met_gently_again() -> None:
    clock = Clock()
    feed = pace(clock)
    for _ in range(3):
        feed.lost()
        feed.linked()
        assert feed.limit == FIRST
        clock.now += 3


def test_the_rate_that_is_set_counts_after_a_recovery_too() -> None:
    clock = Clock()
    feed = pace(clock, drain_rate=200)
    feed.lost()
    feed.linked()
    assert drained(clock, feed, 20) <= 205


def test_a_database_that_answers_late_gets_its_peace_until_it_is_well() -> None:
    clock = Clock()
    feed = pace(clock)
    late = [feed.rest(done(clock, 100, has_more=True, late=0.2)) for _ in range(12)]
    assert late[0] == SLOWED
    assert late[-1] == SLOWEST
    assert late == sorted(late)
    assert feed.is_slowed
    well = [feed.rest(done(clock, 100, has_more=True)) for _ in range(12)]
    assert well == sorted(well, reverse=True)
    assert well[-1] == 0
    assert not feed.is_slowed


def test_without_a_bound_a_late_database_changes_nothing() -> None:
    clock = Clock()
    assert pace(clock, max_latency=0).rest(done(clock, 100, has_more=True, late=9)) == 0


def test_distance_is_no_lateness() -> None:
    clock = Clock()
    far = Latency(clock)
    for _ in range(50):
        far.note(0.3)
    assert far.late == 0
    for _ in range(50):
        far.note(0.5)
    assert math.isclose(far.late, 0.2, rel_tol=0.01)


def test_one_late_answer_among_many_is_no_trouble() -> None:
    clock = Clock()
    near = Latency(clock)
    for _ in range(20):
        near.note(0.001)
    near.note(0.3)
    assert near.late < 0.1


def test_a_measurement_grows_old() -> None:
    clock = Clock()
    latency = Latency(clock)
    assert latency.is_old
    latency.note(0.001)
    assert not latency.is_old
    clock.now += OLD
    assert latency.is_old
