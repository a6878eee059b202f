"""The cluster autoscaler's annotation."""

import copy

import pytest

from agent.inject.injection import uninject
from tests.unit.inject.examples import outcome, pod

KEY = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"


def with_value(value: object) -> dict[str, object]:
    one = pod()
    one["metadata"]["annotations"][KEY] = value
    return one


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("data,tmp", "data,tmp,pillion-state,pillion-hook"),
        ("", "pillion-state,pillion-hook"),
        ("pillion-state", "pillion-state,pillion-hook"),
        ("pillion-state,pillion-hook", "pillion-state,pillion-hook"),
        (None, None),
        (7, 7),
    ],
)
def test_our_volumes_on_the_disk_are_named_behind_those_that_somebody_gave(theirs, expected):
    before = with_value(theirs)
    after = outcome(before).pod
    assert after["metadata"]["annotations"][KEY] == expected
    assert uninject(after).pod == before


def test_without_the_annotation_it_is_made_and_goes_away_again():
    after = outcome(pod(annotations={"carry": "false", "config": "c"})).pod
    assert after["metadata"]["annotations"][KEY] == "pillion-state"
    assert KEY not in uninject(after).pod["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("now", "expected"),
    [("late,pillion-hook,data", "late,data"), ("pillion-hook,pillion-state,late", "late"), ("data", "data")],
)
def test_what_was_changed_since_stays(now, expected):
    after = copy.deepcopy(dict(outcome(with_value("data")).pod))
    after["metadata"]["annotations"][KEY] = now
    assert uninject(after).pod["metadata"]["annotations"][KEY] == expected


def test_what_was_taken_away_since_does_not_come_back():
    after = copy.deepcopy(dict(outcome(with_value("data")).pod))
    del after["metadata"]["annotations"][KEY]
    assert KEY not in uninject(after).pod["metadata"]["annotations"]
