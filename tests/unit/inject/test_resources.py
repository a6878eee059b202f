"""What the sidecar asks for and may use, beside what the pod says."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inject.resources import amount
from tests.unit.inject.examples import outcome, pod, sidecar

FIXED = {"limits": {"cpu": "1", "memory": "1Gi"}}
USUAL = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("50m", "0.05"), ("1.5", "1.5"), (2, "2"), (0.5, "0.5"), ("128Mi", "134217728"), ("1G", "1000000000"),
        ("1e3", "1000"), ("1E3", "1000"), ("1E", "1000000000000000000"), (".5", "0.5"), ("100n", "0.0000001"),
    ],
)  # fmt: skip
def test_quantities_are_read_as_kubernetes_does(quantity, number):
    assert amount(quantity) == Decimal(number)


@given(
    st.text(max_size=12) | st.from_regex(r"[0-9.eEmKMi+-]{1,12}", fullmatch=True) | st.booleans() | st.none()
)
def test_what_is_no_quantity_is_none_never_an_error(thing):
    found = amount(thing)
    assert found is None or found >= 0


def test_what_the_pod_says_for_all_its_containers_leaves_no_request_and_no_limit_of_ours():
    both = {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}
    assert sidecar(pod(spec={"resources": both}))["resources"] == {}
    cpu_only = {"limits": {"cpu": "1"}}
    found = sidecar(pod(spec={"resources": cpu_only}))["resources"]
    assert found == {"requests": {"memory": "128Mi"}, "limits": {"memory": "512Mi"}}


@pytest.mark.parametrize("odd", [[], "x", {"limits": []}, {"requests": None}, {}])
def test_resources_of_the_pod_that_are_none_change_nothing(odd):
    assert sidecar(pod(spec={"resources": odd}))["resources"] == USUAL


@pytest.mark.parametrize(
    ("annotations", "cpu", "memory"),
    [
        ({}, "500m", "512Mi"),
        ({"cpu-request": "100m"}, "100m", "512Mi"),
        ({"cpu-limit": "100m"}, "100m", "512Mi"),
        ({"memory-request": "256Mi"}, "500m", "256Mi"),
        ({"memory-limit": "1Gi"}, "500m", "1Gi"),
    ],
)
def test_a_pod_that_is_guaranteed_stays_so(annotations, cpu, memory):
    theirs = {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m"}}
    found = sidecar(pod(annotations=annotations, resources=theirs))["resources"]
    assert found["requests"] == found["limits"] == {"cpu": cpu, "memory": memory}


def test_annotations_that_say_both_count_as_they_are():
    annotations = {"cpu-request": "100m", "cpu-limit": "1"}
    found = sidecar(pod(annotations=annotations, resources=FIXED))["resources"]
    assert (found["requests"]["cpu"], found["limits"]["cpu"]) == ("100m", "1")


@pytest.mark.parametrize(
    "theirs",
    [
        None,
        {},
        {"limits": {"cpu": "1"}},
        {"limits": {"cpu": "0", "memory": "1Gi"}},
        {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "1G"}},
        {"limits": {"cpu": "lots", "memory": "1Gi"}},
        {"limits": [], "requests": 1},
        7,
    ],
)
def test_a_pod_that_is_not_guaranteed_gets_the_usual(theirs):
    assert sidecar(pod(resources=theirs))["resources"] == USUAL


def test_one_init_container_without_limits_makes_it_burstable():
    one = pod(resources=FIXED, spec={"initContainers": [{"name": "migrate", "image": "x"}]})
    assert sidecar(one)["resources"] == USUAL
    assert not any("Guaranteed" in said for said in outcome(one).warnings)
