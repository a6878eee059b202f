"""What numbers taken at the commit promise, and what a lock on the key would add: every order of some transactions."""

import itertools

import pytest

from tests.unit.outbox.commit_model import (
    EVENT_FIRST,
    EVENT_LAST,
    LATE_LOCK,
    NO_LOCK,
    Numbering,
    Step,
    runs,
)

WAITED: tuple[Step, ...] = ("note", "lock")
"""The promise: who was seen before another wrote its event, or before it had the lock, comes first."""
MIXED = list(itertools.combinations_with_replacement((EVENT_FIRST, EVENT_LAST, NO_LOCK), 3))


def test_numbers_taken_as_events_are_written_invert_where_the_event_comes_before_the_lock() -> None:
    found = list(runs([EVENT_FIRST, EVENT_FIRST], "written"))
    assert len(found) > 4
    assert [each for each in found if each.inverted("lock")]
    assert not [each for each in found if each.inverted("note")]


def test_numbers_taken_as_events_are_written_keep_the_order_where_the_lock_comes_first() -> None:
    assert not [each for each in runs([EVENT_LAST] * 3, "written") if each.inverted(*WAITED)]


@pytest.mark.parametrize("programs", MIXED)
def test_numbers_taken_at_the_commit_keep_every_order_that_is_promised_without_a_lock_of_their_own(
    programs: tuple[tuple[Step, ...], ...],
) -> None:
    """Although another commit fits between the number and the moment at which it is seen."""
    found = list(runs(programs, "commit"))
    assert not [each for each in found if each.inverted(*WAITED, "number") or each.stuck]
    between = [
        each for each in found for a, b in itertools.permutations(range(3), 2)
        if each.times[(a, "number")] < each.times[(b, "number")] < each.times[(a, "see")]
    ]  # fmt: skip
    # Where all of them lock first, the window is there and nobody can be in it.
    assert bool(between) is (programs.count(NO_LOCK) > 0)


def test_transactions_that_never_waited_for_each_other_have_no_order_and_only_a_lock_gives_them_one() -> None:
    pair = [NO_LOCK, NO_LOCK]
    assert [each for each in runs(pair, "commit") if each.inverted("see")]
    assert not [each for each in runs(pair, "commit-locked") if each.inverted("see")]


@pytest.mark.parametrize(
    ("numbering", "inverts", "hangs"), [("commit", True, False), ("commit-locked", False, True)]
)
def test_what_waits_within_the_commit_is_not_covered_and_a_lock_would_make_it_a_deadlock(
    numbering: Numbering, inverts: bool, hangs: bool
) -> None:
    found = list(runs([EVENT_FIRST, LATE_LOCK], numbering))
    assert bool([each for each in found if not each.stuck and each.inverted("lock")]) is inverts
    assert bool([each for each in found if each.stuck]) is hangs
