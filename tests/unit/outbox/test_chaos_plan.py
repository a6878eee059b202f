"""A seed is enough to repeat a run's plan."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import Faults
from tests.chaos.plan import FLOOD, LASTING, plan


@given(st.integers(0, 2**32), st.floats(0, 600))
def test_a_seed_repeats_its_plan_and_a_longer_run_begins_like_a_shorter_one(
    seed: int, seconds: float
) -> None:
    one, again, longer = plan(seed, seconds), plan(seed, seconds), plan(seed, seconds + 60)
    assert one == again
    assert longer.faults[: len(one.faults)] == one.faults
    assert all(each.at < seconds for each in one.faults)


@given(st.integers(0, 2**32))
def test_a_run_of_90_seconds_has_every_kind_of_fault(seed: int) -> None:
    assert {each.kind for each in plan(seed, 90.0).faults} == set(LASTING)


@given(st.integers(0, 2**32), st.floats(10, 600))
def test_a_large_transaction_comes_once_and_changes_nothing_else(seed: int, seconds: float) -> None:
    with_it, without = plan(seed, seconds, 300_000), plan(seed, seconds)
    assert [each.kind for each in with_it.faults].count(FLOOD) == 1
    assert tuple(each for each in with_it.faults if each.kind != FLOOD) == without.faults


def test_two_seeds_have_two_plans() -> None:
    assert plan(1, 60.0).faults != plan(2, 60.0).faults


def test_every_kind_of_fault_can_be_done() -> None:
    assert all(callable(getattr(Faults, kind)) for kind in (*LASTING, FLOOD))
