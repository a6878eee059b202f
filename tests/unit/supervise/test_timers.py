"""Calls are made when they are due, earliest first."""

import pytest

from agent.supervise.timers import Timers


@pytest.fixture
def now() -> list[float]:
    return [100.0]


def test_calls_are_made_in_the_order_in_which_they_are_due(now: list[float]) -> None:
    timers, made = Timers(lambda: now[0]), []
    timers.after(3.0, lambda: made.append("late"))
    timers.after(1.0, lambda: made.append("early"))
    assert timers.delay() == 1.0
    timers.run_due()
    assert made == []
    now[0] += 5
    assert timers.delay() == 0.0
    timers.run_due()
    assert made == ["early", "late"]
    assert timers.delay() is None


def test_a_cancelled_call_is_not_made_nor_waited_for(now: list[float]) -> None:
    timers, made = Timers(lambda: now[0]), []
    timer = timers.after(1.0, lambda: made.append("cancelled"))
    timers.after(2.0, lambda: made.append("kept"))
    timer.cancel()
    assert timers.delay() == 2.0
    now[0] += 2
    timers.run_due()
    assert made == ["kept"]


def test_a_call_may_cancel_another_that_is_due_and_add_one(now: list[float]) -> None:
    timers, made = Timers(lambda: now[0]), []
    second = timers.after(2.0, lambda: made.append("second"))

    def first() -> None:
        second.cancel()
        timers.after(0.0, lambda: made.append("added"))

    timers.after(1.0, first)
    now[0] += 3
    timers.run_due()
    assert made == ["added"]
