"""Who asks for a sidecar, and what speaks against it."""

import pytest

from agent.inject.injection import Namespace, Verdict
from tests.unit.inject.examples import outcome, pod

PLAIN = Namespace("shop")


@pytest.mark.parametrize(
    ("namespace", "label", "annotation", "expected"),
    [
        ({}, None, None, Verdict.SKIPPED),
        ({"pillion.dev/inject": "enabled"}, None, None, Verdict.INJECTED),
        ({"pillion.dev/inject": "disabled"}, None, None, Verdict.SKIPPED),
        ({}, "true", None, Verdict.INJECTED),
        ({"pillion.dev/inject": "disabled"}, "true", None, Verdict.INJECTED),
        ({"pillion.dev/inject": "enabled"}, "false", None, Verdict.SKIPPED),
        ({"pillion.dev/inject": "enabled"}, None, "false", Verdict.SKIPPED),
        ({}, "true", "false", Verdict.SKIPPED),
        ({}, None, "true", Verdict.SKIPPED),
        ({}, "yes", None, Verdict.REFUSED),
        ({}, "", None, Verdict.REFUSED),
    ],
)
def test_label_and_namespace_opt_in_and_false_always_wins(namespace, label, annotation, expected):
    one = pod(
        labels={} if label is None else {"pillion.dev/inject": label},
        annotations={} if annotation is None else {"inject": annotation},
    )
    assert outcome(one, Namespace("shop", namespace)).verdict is expected


def test_an_annotation_that_asks_is_told_that_only_a_label_does():
    assert "only as a label" in outcome(pod(annotations={"inject": "true"}), PLAIN).reason


def test_a_wrong_switch_names_what_is_allowed():
    (problem,) = outcome(pod(labels={"pillion.dev/inject": "on"})).problems
    assert str(problem) == 'pillion.dev/inject is \'on\'; allowed: "true" or "false", as a label of the pod'


@pytest.mark.parametrize(
    ("mine", "label", "namespace", "expected"),
    [
        ("", None, None, Verdict.INJECTED),
        ("", "canary", None, Verdict.SKIPPED),
        ("canary", None, None, Verdict.SKIPPED),
        ("canary", "canary", None, Verdict.INJECTED),
        ("canary", None, "canary", Verdict.INJECTED),
        ("canary", "stable", "canary", Verdict.SKIPPED),
    ],
)
def test_a_revision_chooses_one_of_several_injectors(mine, label, namespace, expected):
    space = {"pillion.dev/inject": "enabled"} | ({"pillion.dev/revision": namespace} if namespace else {})
    one = pod(labels={"pillion.dev/revision": label} if label else {})
    assert outcome(one, Namespace("shop", space), revision=mine).verdict is expected


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (pod(spec={"hostNetwork": True}), "hostNetwork"),
        (pod(spec={"os": {"name": "windows"}}), "Windows"),
        (
            pod(spec={"initContainers": [{"name": "pillion", "restartPolicy": "Always"}]}),
            "a sidecar pillion already",
        ),
        (
            pod(spec={"initContainers": [{"name": "linkerd-proxy", "restartPolicy": "Always"}]}),
            "linkerd-proxy",
        ),
        (pod(name="istio-proxy"), "istio-proxy"),
        (pod(labels={"sidecar.istio.io/inject": "true"}), "sidecar.istio.io/inject"),
        (pod(annotations={"injected": "anything"}), "injected already"),
        (pod(ports=[]), "no container names an HTTP port"),
    ],
)
def test_what_is_skipped_says_why(one, said):
    found = outcome(one)
    assert found.verdict is Verdict.SKIPPED
    assert said in found.reason


def required(*terms) -> dict[str, object]:
    nodes = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": nodes}}


WINDOWS = {"key": "kubernetes.io/os", "operator": "In", "values": ["windows"]}
LINUX = {**WINDOWS, "values": ["linux"]}
ZONE = {"key": "topology.kubernetes.io/zone", "operator": "Exists"}


def test_a_pod_that_requires_nodes_of_windows_is_skipped():
    for terms in ([[WINDOWS]], [[ZONE, WINDOWS]], [[WINDOWS], [WINDOWS, ZONE]]):
        found = outcome(pod(spec=required(*({"matchExpressions": one} for one in terms))))
        assert (found.verdict, found.reason) == (Verdict.SKIPPED, "it is a Windows pod")


@pytest.mark.parametrize(
    "spec",
    [
        required({"matchExpressions": [WINDOWS]}, {"matchExpressions": [LINUX]}),
        required({"matchExpressions": [LINUX]}),
        required({"matchExpressions": [{**WINDOWS, "operator": "NotIn"}]}),
        required({"matchExpressions": [{**WINDOWS, "values": ["windows", "linux"]}]}),
        required({"matchFields": [WINDOWS]}, {}),
        required(),
        required(None, 7),
        required({"matchExpressions": {"a": 1}}),
        {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}},
        {"affinity": [], "nodeSelector": 7, "os": None},
    ],
)
def test_a_pod_that_may_go_to_other_nodes_is_injected(spec):
    assert outcome(pod(spec=spec)).verdict is Verdict.INJECTED


@pytest.mark.parametrize("name", ["kube-system", "kube-public", "kube-node-lease"])
def test_the_clusters_own_namespaces_are_left_alone(name):
    assert outcome(pod(), Namespace(name, {"pillion.dev/inject": "enabled"})).verdict is Verdict.SKIPPED


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"hostNetwork": True}, "(hostNetwork)"),
        ({"os": {"name": "windows"}}, "Windows"),
        ({"initContainers": [{"name": "linkerd-proxy", "restartPolicy": "Always"}]}, "another mesh"),
    ],
)
def test_who_asks_in_vain_is_told_and_who_did_not_ask_itself_is_not(spec, said):
    (sentence,) = outcome(pod(labels={"pillion.dev/inject": "true"}, spec=spec)).unmet
    assert sentence.startswith("Pillion gives this pod no sidecar, though its label asks for one: it ")
    assert said in sentence
    assert outcome(pod(spec=spec)).unmet == ()


def test_who_has_a_sidecar_or_gets_it_from_another_injector_is_told_nothing():
    asks = {"pillion.dev/inject": "true"}
    others = (
        pod(labels=asks, annotations={"injected": "anything"}),
        pod(labels=asks, spec={"initContainers": [{"name": "pillion", "restartPolicy": "Always"}]}),
        pod(labels={**asks, "pillion.dev/revision": "canary"}),
    )
    for one in others:
        assert (outcome(one).verdict, outcome(one).unmet) == (Verdict.SKIPPED, ())
