"""Pods that are not what Kubernetes would take."""

import itertools
import time

import pytest

from agent.inject.injection import Verdict
from tests.unit.inject.examples import outcome, pod

APP = {"name": "app"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"containers": None}, "spec.containers is missing or empty; give a list of containers"),
        ({"containers": {}}, "spec.containers is missing or empty"),
        ({"containers": {"name": "app"}}, "spec.containers is a mapping; allowed: a list"),
        ({"containers": ["app"]}, "spec.containers[0] is 'app'; allowed: a mapping"),
        (
            {"containers": [{"image": "x"}]},
            "spec.containers[0].name is empty; allowed: a text that is not empty",
        ),
        (
            {"containers": [APP, APP]},
            "spec.containers[1].name is 'app' again; allowed: a name for each container",
        ),
        ({"initContainers": [APP]}, "spec.initContainers[0].name is 'app' again"),
        ({"volumes": [{}]}, "spec.volumes[0].name is empty"),
        (
            {"containers": [{**APP, "env": [{"name": "A", "value": 1}]}]},
            "env[0].value is 1; allowed: a text; write it in",
        ),
        (
            {"containers": [{**APP, "env": {"A": "1"}}]},
            "spec.containers[0].env is a mapping; allowed: a list",
        ),
        ({"containers": [{**APP, "ports": [80]}]}, "spec.containers[0].ports[0] is 80; allowed: a mapping"),
        ({"containers": [{**APP, "volumeMounts": [{}]}]}, "volumeMounts[0].mountPath is empty"),
        (
            {"containers": [{**APP, "lifecycle": []}]},
            "spec.containers[0].lifecycle is a list; allowed: a mapping",
        ),
        (
            {"containers": [{**APP, "lifecycle": {"preStop": "x"}}]},
            "lifecycle.preStop is 'x'; allowed: a mapping",
        ),
        ({"containers": [{**APP, "livenessProbe": 1}]}, "spec.containers[0].livenessProbe is 1"),
        (
            {"terminationGracePeriodSeconds": "30"},
            "spec.terminationGracePeriodSeconds is '30'; allowed: a whole number",
        ),
        (
            {"containers": [{"name": f"c{n}"} for n in range(1001)]},
            "spec.containers has 1001 entries; allowed: at most",
        ),
    ],
)
def test_each_place_is_named_with_what_is_allowed(spec, said):
    found = outcome(pod(spec=spec))
    assert found.verdict is Verdict.REFUSED
    assert said in "\n".join(map(str, found.problems))


def test_all_lists_together_have_a_bound_too():
    env = [{"name": f"V{n}", "value": "x"} for n in range(900)]
    found = outcome(pod(spec={"containers": [{"name": f"c{n}", "env": env} for n in range(6)]}))
    assert found.verdict is Verdict.REFUSED
    assert "spec has 5406 entries in its lists; allowed: at most 5000 in all" in found.reason


@pytest.mark.parametrize("name", ["upstreams", "versions", "tags", "routes", "outbox-config"])
@pytest.mark.parametrize("size", [32_000, 250_000])
def test_no_annotation_holds_the_webhook_up(name, size):
    """Some are compared each with each, or read as YAML."""
    texts = (f"{'v' if name == 'versions' else 'a'}{number}" for number in itertools.count())
    text = ",".join(itertools.islice(texts, size // 8))[:size]
    began = time.process_time()
    outcome(pod(annotations={name: f"[{text}]" if name == "outbox-config" else text}))
    assert time.process_time() - began < 1


def test_annotations_have_the_bound_of_kubernetes_and_ours_a_smaller_one():
    one = pod()
    one["metadata"]["annotations"] = {f"other.example/{n}": "x" * 50_000 for n in range(6)}
    assert "metadata.annotations have 300090 characters; allowed: at most 262144" in outcome(one).reason
    found = outcome(pod(annotations={"outbox-config": "x" * 40_000}))
    assert "pillion.dev/outbox-config has 40000 characters; allowed: at most 32768" in found.reason


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ([], "metadata is a list; allowed: a mapping"),
        ({"labels": []}, "metadata.labels is a list"),
        ({"labels": {"a": 1}}, "a is 1; allowed: a text; write it in quotes"),
        (
            {"annotations": {"pillion.dev/port": 8000}},
            "pillion.dev/port is 8000; allowed: a text; write it in quotes",
        ),
    ],
)
def test_labels_and_our_annotations_are_texts(metadata, said):
    found = outcome({**pod(), "metadata": metadata})
    assert said in "\n".join(map(str, found.problems))


def test_annotations_of_others_are_their_matter():
    one = pod()
    one["metadata"]["annotations"] = {"other.example/x": 1}
    assert outcome(one).verdict is Verdict.INJECTED


@pytest.mark.parametrize("thing", [None, [], "pod", 1])
def test_what_is_no_pod_is_refused(thing):
    assert outcome(thing).verdict is Verdict.REFUSED
