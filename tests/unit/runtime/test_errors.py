"""Errors say what is wrong, where it came from and what is allowed."""

from agent.runtime.errors import Misconfigured, PillionError, Problem, Transient


def test_a_problem_names_the_key_what_is_wrong_the_source_and_what_is_allowed() -> None:
    problem = Problem("service.port", "is 'abc', not a number", "0 to 65535", "PILLION_SERVICE_PORT")
    assert (
        str(problem) == "service.port is 'abc', not a number (from PILLION_SERVICE_PORT); allowed: 0 to 65535"
    )
    assert str(Problem("x", "is unknown")) == "x is unknown"


def test_a_misconfiguration_carries_all_problems_at_once() -> None:
    error = Misconfigured([Problem("a", "is missing"), Problem("b", "is unknown")])
    assert isinstance(error, PillionError)
    assert str(error).splitlines() == ["a is missing", "b is unknown"]
    assert [problem.key for problem in error.problems] == ["a", "b"]


def test_a_transient_failure_keeps_the_delay_that_was_asked_for() -> None:
    assert Transient("busy", 3.0).delay == 3.0
    assert Transient("busy").delay is None
