"""The board holds each component's newest word."""

import pytest

from agent.runtime.health import Board, Report, State


def test_a_component_starts_as_starting_and_each_report_replaces_the_former() -> None:
    now = [10.0]
    board = Board(lambda: now[0])
    health = board.of("relay")
    assert board.reports["relay"] == Report(State.STARTING, "", 10.0)
    now[0] = 11.0
    health.degraded("the broker is away")
    now[0] = 12.0
    health.degraded("the broker refuses us")
    assert board.reports["relay"] == Report(State.DEGRADED, "the broker refuses us", 11.0)
    health.ok()
    assert board.reports["relay"] == Report(State.OK, "", 12.0)
    health.stopped()
    assert board.reports["relay"].state is State.STOPPED


def test_reports_keep_the_order_of_first_appearance_and_can_not_be_written() -> None:
    board = Board(lambda: 0.0)
    first = board.of("b")
    board.of("a")
    first.ok()
    assert list(board.reports) == ["b", "a"]
    with pytest.raises(TypeError):
        board.reports["c"] = board.reports["a"]  # type: ignore[index]
