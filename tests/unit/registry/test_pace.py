"""How often something may happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.registry.pace import Pace


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_rest_a_burst_may_go_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    pace = Pace(3, 2.0, clock)
    assert [pace.wait() for _ in range(5)] == pytest.approx([0, 0, 0, 0.5, 1.0])
    clock.now += 60
    assert [pace.wait() for _ in range(4)] == pytest.approx([0, 0, 0, 0.5])


def test_who_comes_evenly_never_waits() -> None:
    clock = Clock()
    pace = Pace(1, 4.0, clock)
    for _ in range(10):
        assert pace.wait() == 0
        clock.now += 0.25


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_ten_seconds_hold_more_turns_than_the_burst_and_ten_seconds_of_the_rate(
    rests: list[float],
) -> None:
    clock = Clock()
    pace, turns = Pace(5, 2.0, clock), []
    for rest in rests:
        clock.now += rest
        clock.now += pace.wait()
        turns.append(clock.now)
    for begin in turns:
        assert sum(begin <= turn <= begin + 10 for turn in turns) <= 5 + 2 * 10 + 1
