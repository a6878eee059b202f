"""inject and uninject: what holds of every pod."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.settings import Settings
from agent.inject.injection import Namespace, Verdict, inject, uninject
from agent.inject.patch import between, same
from tests.kubernetes_schemas import NEWEST, OLDEST, validate
from tests.unit.inject.apply import applied
from tests.unit.inject.pods import BROKEN, JSON, PODS
from tests.unit.inject.properties import OPTED_IN, SETTINGS, check

POD = {
    "metadata": {"labels": {"app": "orders"}},
    "spec": {"containers": [{"name": "app", "image": "orders:1", "ports": [{"containerPort": 8000}]}]},
}


@settings(max_examples=300, deadline=None)
@given(PODS)
def test_every_pod_is_injected_without_touching_what_is_its_own_and_comes_back_equal(pod):
    before = copy.deepcopy(pod)
    outcome = inject(pod, OPTED_IN, SETTINGS)
    assert pod == before
    check(pod, outcome)


@settings(max_examples=100, deadline=None)
@given(PODS)
def test_kubernetes_takes_what_comes_out_where_it_took_what_went_in(pod):
    outcome = inject(pod, OPTED_IN, Settings())
    for version in (OLDEST, NEWEST):
        if not validate({"apiVersion": "v1", "kind": "Pod", **pod}, version):
            assert validate({"apiVersion": "v1", "kind": "Pod", **outcome.pod}, version) == []


@settings(max_examples=300, deadline=None)
@given(BROKEN)
def test_a_pod_with_anything_in_it_is_answered_never_raised(pod):
    outcome = inject(pod, OPTED_IN, SETTINGS)
    uninject(pod)
    if outcome.verdict is Verdict.INJECTED:
        assert same(applied(pod, between(pod, outcome.pod)), outcome.pod)
        assert same(uninject(outcome.pod).pod, pod)


@settings(max_examples=200, deadline=None)
@given(JSON, st.dictionaries(st.sampled_from(["metadata", "spec", "x"]), JSON))
def test_anything_at_all_is_answered(thing, pod):
    assert inject(thing, OPTED_IN, SETTINGS).verdict is not Verdict.INJECTED
    inject(pod, OPTED_IN, SETTINGS)
    uninject(thing)


def test_the_rest_of_a_whole_pod_stays():
    pod = {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending"}, **POD}
    after = inject(pod, OPTED_IN, SETTINGS).pod
    assert (after["kind"], after["status"]) == ("Pod", {"phase": "Pending"})


def test_what_was_added_later_by_others_stays_when_it_is_taken_out_again():
    after = copy.deepcopy(dict(inject(POD, OPTED_IN, SETTINGS).pod))
    after["spec"]["containers"].append({"name": "late", "image": "x", "env": [{"name": "A", "value": "1"}]})
    after["spec"]["containers"][0]["env"].append({"name": "B", "value": "2"})
    after["spec"]["volumes"].append({"name": "late", "emptyDir": {}})
    back = uninject(after).pod
    assert back["spec"] == {
        "containers": [
            {**POD["spec"]["containers"][0], "env": [{"name": "B", "value": "2"}]},
            {"name": "late", "image": "x", "env": [{"name": "A", "value": "1"}]},
        ],
        "volumes": [{"name": "late", "emptyDir": {}}],
    }


def test_what_was_never_injected_is_not_taken_out():
    assert uninject(POD).verdict is Verdict.SKIPPED


@pytest.mark.parametrize(
    "marker", ["", "{}", "[]", '{"form": 2}', '{"form": 1, "volumes": [1]}', '{"form": 1, "x": 1}']
)
def test_a_marker_that_is_not_ours_is_refused_when_it_is_to_be_taken_out(marker):
    pod = {**POD, "metadata": {"annotations": {"pillion.dev/injected": marker}}}
    assert uninject(pod).verdict is Verdict.REFUSED


def test_a_namespace_can_not_name_the_service_of_its_pods_unless_the_pod_does_so_itself():
    space = Namespace("shop", {"pillion.dev/inject": "enabled"}, {"pillion.dev/service": "Every one"})
    outcome = inject(POD, space, SETTINGS)
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.reason == (
        "pillion.dev/service would make all workloads of the namespace one service (from namespace shop); allowed: "
        "on a pod only; without it the labels app.kubernetes.io/name and app name the service"
    )
    own = {**POD, "metadata": {**POD["metadata"], "annotations": {"pillion.dev/service": "own"}}}
    assert variables(inject(own, space, SETTINGS).pod)["PILLION_SERVICE_NAME"] == "own"


@pytest.mark.parametrize(("name", "value"), [("port", "8000"), ("routes", "/a")])
def test_what_a_namespace_hardly_means_for_all_its_pods_is_warned_of(name, value):
    key = f"pillion.dev/{name}"
    space = Namespace("shop", {"pillion.dev/inject": "enabled"}, {key: value})
    assert any(
        one.startswith(f"{key} is from the namespace shop: ") for one in inject(POD, space, SETTINGS).warnings
    )
    own = {**POD, "metadata": {**POD["metadata"], "annotations": {key: value}}}
    assert not any(one.startswith(key) for one in inject(own, space, SETTINGS).warnings)


def variables(pod):
    return {one["name"]: one.get("value") for one in pod["spec"]["initContainers"][0]["env"]}
