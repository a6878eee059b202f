"""The sleep before an application is told to end."""

import pytest

from tests.unit.inject.examples import application, pod

SLEEP = {"preStop": {"sleep": {"seconds": 5}}}


@pytest.mark.parametrize(
    ("version", "there"),
    [("1.29", False), ("v1.29.6", False), ("1.30", True), ("1.31.2+k3s1", True), ("v1.37", True)],
)
def test_it_is_there_from_1_30_on(version, there):
    assert application(pod(), cluster_version=version).get("lifecycle") == (SLEEP if there else None)


@pytest.mark.parametrize(
    ("lifecycle", "expected"),
    [
        (None, SLEEP),
        ({}, SLEEP),
        ({"preStop": None}, SLEEP),
        ({"preStop": {"exec": {"command": ["x"]}}}, {"preStop": {"exec": {"command": ["x"]}}}),
        ({"postStart": {"exec": {"command": ["x"]}}}, {"postStart": {"exec": {"command": ["x"]}}, **SLEEP}),
    ],
)
def test_a_hook_of_their_own_stays(lifecycle, expected):
    assert application(pod(lifecycle=lifecycle))["lifecycle"] == expected


@pytest.mark.parametrize(("grace", "seconds"), [(None, 5), (30, 5), (12, 4), (3, 1), (2, None), (0, None)])
def test_it_leaves_the_application_two_thirds_of_the_grace_period(grace, seconds):
    spec = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    found = application(pod(spec=spec)).get("lifecycle")
    assert found == ({"preStop": {"sleep": {"seconds": seconds}}} if seconds else None)


def test_it_can_be_turned_off_and_nobody_waits_for_a_pod_that_nobody_calls():
    assert "lifecycle" not in application(pod(), pre_stop_sleep=0)
    assert "lifecycle" not in application(pod(labels={"pillion.dev/inject": "true"}, ports=[]))
