"""Delays grow, have a ceiling, and start small again after a success."""

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.backoff import Backoff


def highest(_: float, high: float) -> float:
    return high


def test_delays_double_up_to_the_maximum() -> None:
    backoff = Backoff(0.5, 3.0, highest)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_reset_starts_small_again() -> None:
    backoff = Backoff(0.5, 3.0, highest)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.5


def test_what_lasted_longer_than_the_longest_delay_was_a_success_and_what_did_not_was_none() -> None:
    backoff = Backoff(0.5, 3.0, highest)
    backoff.next()
    backoff.lasted(3.0)
    assert backoff.next() == 1.0
    backoff.lasted(3.1)
    assert backoff.next() == 0.5


def test_what_the_other_side_asked_for_is_the_least() -> None:
    assert Backoff(0.5, 3.0, highest).next(at_least=20.0) == 20.0


@given(st.lists(st.sampled_from(["next", "reset"]), max_size=60))
def test_a_delay_is_never_below_half_the_initial_nor_above_the_maximum(moves: list[str]) -> None:
    backoff = Backoff(0.5, 3.0)
    for move in moves:
        if move == "reset":
            backoff.reset()
        else:
            assert 0.25 <= backoff.next() <= 3.0
