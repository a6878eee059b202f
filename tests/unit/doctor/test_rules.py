"""Each finding of a cluster, provoked."""

import base64
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.doctor.cluster import told
from agent.doctor.finding import Finding, Level
from agent.doctor.rules import (
    authority,
    injection,
    objects,
    registry,
    services,
    sidecars,
    versions,
    webhooks,
)
from agent.doctor.rules.pods import Pod
from agent.doctor.rules.registry import Told
from tests.unit.doctor import objects as made

NOW = time.time() + 3600.0
DAY = 86400.0


def pods(*every: dict[str, Any]) -> list[Pod]:
    return [Pod(one) for one in every]


def levels(findings: Iterable[Finding]) -> dict[str, Level]:
    found = list(findings)
    assert all(one.todo for one in found if one.is_wrong), "each says what to do"
    return {one.id: one.level for one in found}


def only(findings: Iterable[Finding]) -> Finding:
    (one,) = findings
    assert bool(one.todo) is one.is_wrong
    return one


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("v1.37.2", Level.OK), ("v1.29.0", Level.OK), ("v1.28.9", Level.PROBLEM), ("v1.30.1-gke.5", Level.OK),
        ("v2.0.0", Level.OK), ("", Level.PROBLEM), ("nonsense", Level.PROBLEM),
    ],
)  # fmt: skip
def test_the_clusters_version_must_know_native_sidecars(said: str, level: Level) -> None:
    assert only(versions.cluster({"gitVersion": said})).level is level


def test_a_node_with_an_older_kubelet_is_named() -> None:
    found = only(versions.nodes([made.node("new", "v1.31.0"), made.node("old", "v1.28.3")]))
    assert (found.level, "old (v1.28.3)" in found.found, "new" in found.found) == (Level.PROBLEM, True, False)
    assert only(versions.nodes([made.node("a", "v1.29.0")])).level is Level.OK
    assert only(versions.nodes([])).level is Level.NOT_APPLICABLE


def test_a_cluster_without_the_webhook_is_told_to_install_it() -> None:
    assert "helm install" in only(webhooks.present([made.foreign()])).todo
    assert only(webhooks.present([made.foreign(), made.configuration()])).level is Level.OK


@pytest.mark.parametrize(("policy", "level"), [("Fail", Level.OK), ("Ignore", Level.WARNING)])
def test_a_webhook_that_may_be_left_out_lets_pods_in_without_a_sidecar(policy: str, level: Level) -> None:
    configurations = [made.foreign(), made.configuration(policy=policy)]
    assert only(webhooks.failure(configurations)).level is level


@pytest.mark.parametrize(
    ("there", "ready", "level"),
    [
        (False, (), Level.PROBLEM), (True, (), Level.PROBLEM), (True, (False,), Level.PROBLEM),
        (True, (True, False), Level.WARNING), (True, (True, None), Level.OK),
    ],
)  # fmt: skip
def test_somebody_must_answer_behind_the_webhooks_service(
    there: bool, ready: tuple[bool | None, ...], level: Level
) -> None:
    (place,) = webhooks.services([made.configuration()])
    assert (
        only(webhooks.answers(place, made.service() if there else None, made.slices(*ready))).level is level
    )


@pytest.mark.parametrize(
    ("bundle", "days", "level", "words"),
    [
        (None, 0, Level.PROBLEM, "there is none"),
        ("", 0, Level.PROBLEM, "there is none"),
        ("bm90aGluZw==", 0, Level.PROBLEM, "holds no cert"),
        ("***", 0, Level.PROBLEM, "holds no cert"),
        ("one", 0, Level.OK, "valid for"),
        ("one", 400, Level.PROBLEM, "valid now"),
        ("one", -2, Level.PROBLEM, "valid now"),
        ("one", 361, Level.WARNING, "was not replaced"),
    ],
)
def test_the_ca_of_the_webhook_must_be_there_and_valid(
    bundle: str | None, days: int, level: Level, words: str
) -> None:
    text = made.authority("one") if bundle == "one" else bundle
    found = only(authority.bundle(made.configuration(text), NOW + days * DAY))
    assert (found.level, words in found.found) == (level, True)


def test_of_an_old_ca_and_its_successor_one_that_is_valid_is_enough() -> None:
    both = "".join(
        base64.b64decode(made.authority(name, days)).decode() for name, days in (("a", 1), ("b", 365))
    )
    bundle = base64.b64encode(both.encode()).decode()
    assert only(authority.bundle(made.configuration(bundle), NOW + 30 * DAY)).level is Level.OK


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        (None, Level.NOT_APPLICABLE),
        (("one",), Level.OK),
        (("another",), Level.PROBLEM),
        (("another", "one"), Level.OK),
        (("c2VjcmV0",), Level.PROBLEM),
        ((), Level.PROBLEM),
    ],
)
def test_the_ca_of_the_webhook_must_be_the_one_that_signs(keys: tuple[str, ...] | None, level: Level) -> None:
    data = {one: made.authority(one) if one in {"one", "another"} else one for one in keys or ()}
    metadata = {"name": "pillion-injector-ca", "namespace": "pillion"}
    secret = None if keys is None else {"metadata": metadata, "data": data}
    found = authority.matching(made.configuration(made.authority("one")), secret)
    assert only([found]).level is level
    assert "c2VjcmV0" not in str(found)


def test_a_certificate_that_signs_for_itself_is_taken_as_a_ca_like_the_api_server_does() -> None:
    leaf = made.authority("leaf", ca=False)
    assert only(authority.bundle(made.configuration(leaf), NOW)).level is Level.OK
    secret = {"metadata": {"name": "x", "namespace": "pillion"}, "data": {"tls.crt": leaf, "ca.crt": leaf}}
    assert only([authority.matching(made.configuration(leaf), secret)]).level is Level.OK


@pytest.mark.parametrize(("days", "level"), [(0, Level.OK), (361, Level.WARNING), (400, Level.PROBLEM)])
def test_a_certificate_that_somebody_else_puts_into_a_secret_must_be_valid(days: int, level: Level) -> None:
    secret = {"data": {"tls.crt": made.authority("leaf", ca=False)}}
    assert only([authority.serving(secret, NOW + days * DAY)]).level is level
    assert only([authority.serving(None, NOW)]).level is Level.NOT_APPLICABLE
    assert only([authority.serving({"data": {"tls.crt": "c2VjcmV0"}}, NOW)]).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("spec", "level"),
    [
        (None, Level.PROBLEM),
        ({"holderIdentity": "i-1", "renewTime": "now"}, Level.OK),
        ({"holderIdentity": "", "renewTime": "now"}, Level.PROBLEM),
        ({"holderIdentity": "i-1", "renewTime": "2026-01-01T00:00:00.000000Z"}, Level.PROBLEM),
        ({"holderIdentity": "i-1", "renewTime": "?"}, Level.PROBLEM),
        ({"holderIdentity": "i-1"}, Level.PROBLEM),
    ],
)
def test_in_catalogue_mode_an_injector_must_lead(spec: dict[str, str] | None, level: Level) -> None:
    if spec and spec.get("renewTime") == "now":
        spec = {**spec, "renewTime": datetime.fromtimestamp(NOW - 5, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    lease = None if spec is None else {"spec": spec}
    assert only(registry.sweep(CATALOG, lease, NOW)).level is level
    assert only(registry.sweep(AGENT, lease, NOW)).level is Level.NOT_APPLICABLE


def test_namespaces_that_opted_in_are_named_and_words_that_say_nothing_too() -> None:
    every = [
        made.namespace("shop", "enabled"),
        made.namespace("odd", "true"),
        made.namespace("kube-system", "enabled"),
    ]
    assert injection.opted(every) == {"shop"}
    found = list(injection.by_namespace(every, []))
    assert [one.level for one in found] == [Level.WARNING, Level.OK]
    assert "odd (true)" in found[0].found
    assert only(injection.by_namespace([made.namespace("x")], [])).level is Level.WARNING


def test_pods_that_ask_for_themselves_need_no_namespace() -> None:
    asking = made.injected()
    asking["metadata"]["labels"]["pillion.dev/inject"] = "true"
    assert only(injection.by_namespace([made.namespace("shop")], pods(asking))).level is Level.OK


def without(**changes: Any) -> dict[str, Any]:
    """A pod in a namespace that opted in, changed so that it lacks nothing."""
    one = made.pod(**changes.pop("spec", {}))
    one["metadata"]["labels"] |= changes.pop("labels", {})
    one["metadata"]["annotations"] |= changes.pop("annotations", {})
    one["metadata"] |= changes.pop("metadata", {})
    one["status"] |= changes.pop("status", {})
    return one


def test_a_pod_of_a_namespace_that_opted_in_without_a_sidecar_is_missing_one() -> None:
    found = levels(
        injection.missing([made.namespace("shop", "enabled")], pods(made.pod(), made.injected("o-2")))
    )
    assert found == {"injection.missing": Level.WARNING}


@pytest.mark.parametrize(
    "pod",
    [
        made.injected(),
        without(labels={"pillion.dev/inject": "false"}),
        without(annotations={"pillion.dev/inject": "false"}),
        without(spec={"hostNetwork": True}),
        without(spec={"containers": [{"name": "app"}, {"name": "istio-proxy"}]}),
        without(
            spec={"containers": [{"name": "db", "ports": [{"name": "postgres", "containerPort": 5432}]}]}
        ),
        without(spec={"containers": [{"name": "worker"}]}),
        without(annotations={"kubernetes.io/config.mirror": "x"}),
        without(status={"phase": "Succeeded"}),
        without(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        made.pod(within="elsewhere"),
    ],
)
def test_a_pod_that_has_one_or_is_to_have_none_is_not_missing_it(pod: dict[str, Any]) -> None:
    found = levels(injection.missing([made.namespace("shop", "enabled")], pods(pod)))
    assert found["injection.missing"] is not Level.WARNING


def test_a_pod_that_asks_itself_is_missing_one_in_any_namespace_and_without_a_port() -> None:
    pod = without(labels={"pillion.dev/inject": "true"}, spec={"containers": [{"name": "job"}]})
    assert levels(injection.missing([made.namespace("shop")], pods(pod))) == {
        "injection.missing": Level.WARNING
    }


def test_a_pod_that_asks_by_an_annotation_is_told_that_nobody_hears_it() -> None:
    pod = without(annotations={"pillion.dev/inject": "true"})
    assert (
        levels(injection.missing([made.namespace("shop")], pods(pod)))["injection.annotation"]
        is Level.WARNING
    )


def test_a_sidecar_that_is_not_ready_is_named_with_kubernetes_reason() -> None:
    found = only(sidecars.ready(pods(made.injected(), made.injected("o-2", ready=False))))
    assert found.found == "shop/o-2 (ImagePullBackOff) are not"
    assert "describe pod o-2" in found.todo
    assert only(sidecars.ready(pods(made.injected()))).level is Level.OK
    assert only(sidecars.ready(pods(made.pod()))).level is Level.NOT_APPLICABLE


def test_a_sidecar_of_another_image_than_the_injectors_is_named() -> None:
    every = pods(made.injected(), made.injected("o-2", image="pillion:0.1.0"))
    assert "shop/o-2 (pillion:0.1.0)" in only(sidecars.versions(every, made.IMAGE)).found
    assert only(sidecars.versions(every, "")).level is Level.WARNING
    assert only(sidecars.versions(every[:1], made.IMAGE)).level is Level.OK
    assert only(sidecars.versions(every[:1], "")).level is Level.OK
    assert only(sidecars.versions([], made.IMAGE)).level is Level.NOT_APPLICABLE


def test_a_pod_that_chose_its_image_itself_is_not_behind() -> None:
    own = made.injected("o-2", image="pillion:0.1.0")
    own["metadata"]["annotations"]["pillion.dev/image"] = "pillion:0.1.0"
    assert only(sidecars.versions(pods(made.injected(), own), made.IMAGE)).level is Level.OK
    assert only(sidecars.versions(pods(made.injected(), own), "")).level is Level.OK
    assert only(sidecars.versions(pods(own), made.IMAGE)).level is Level.NOT_APPLICABLE


def test_a_sidecar_that_lost_what_makes_it_native_is_a_problem() -> None:
    pod = made.injected()
    del pod["spec"]["initContainers"][1]["restartPolicy"]
    assert only(sidecars.native(pods(pod))).level is Level.PROBLEM
    assert only(sidecars.native(pods(made.injected()))).level is Level.OK
    assert only(sidecars.native([])).level is Level.NOT_APPLICABLE


def job(phase: str, *, native: bool = True) -> dict[str, Any]:
    pod = made.injected()
    pod["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "nightly"}]
    pod["status"] |= {
        "phase": phase,
        "containerStatuses": [{"name": "app", "state": {"terminated": {"exitCode": 0}}}],
    }
    if not native:
        pod["spec"]["containers"].append(pod["spec"]["initContainers"].pop())
        pod["status"]["containerStatuses"].append({"name": "pillion", "state": {"terminated": {}}})
    return pod


def test_a_job_that_its_sidecar_keeps_from_ending_is_named() -> None:
    assert only(sidecars.jobs(pods(job("Running", native=False)))).level is Level.PROBLEM
    assert only(sidecars.jobs(pods(job("Succeeded")))).level is Level.OK
    assert only(sidecars.jobs(pods(job("Running")))).level is Level.OK, "its sidecar is being ended"
    assert only(sidecars.jobs(pods(made.injected()))).level is Level.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("service", "level"),
    [
        (made.service(15006), Level.OK),
        (made.service("pillion-inbound"), Level.OK),
        (made.service(8000), Level.WARNING),
        (made.service("http"), Level.WARNING),
        (made.service(None, 8000), Level.WARNING),
        (made.service("unknown"), Level.OK),
        (made.service(15021), Level.OK),
        (made.service(8000, within="other"), Level.NOT_APPLICABLE),
        (made.service(8000, app="else"), Level.NOT_APPLICABLE),
        ({"metadata": {"name": "outside", "namespace": "shop"}, "spec": {}}, Level.NOT_APPLICABLE),
    ],
)
def test_a_service_that_leads_past_envoy_is_named_and_a_network_policy_offered(
    service: dict[str, Any], level: Level
) -> None:
    found = only(services.bypassing([service], pods(made.injected(), made.pod("plain"))))
    assert found.level is level
    if level is Level.WARNING:
        assert "shop/orders" in found.found
        assert "networkPolicy" in found.todo


def test_a_port_that_injection_does_not_serve_is_nobodys_way_past_it() -> None:
    """Such as one for metrics, which callers reach at the application in any case."""
    pod = made.injected()
    pod["spec"]["containers"][0]["ports"].append({"name": "metrics", "containerPort": 9102})
    assert only(services.bypassing([made.service("metrics")], pods(pod))).level is Level.OK
    assert only(services.bypassing([made.service(9102)], pods(pod))).level is Level.OK
    assert only(services.bypassing([made.service("http")], pods(pod))).level is Level.WARNING


def test_the_application_need_not_name_the_port_that_is_served() -> None:
    pod = made.injected()
    pod["spec"]["containers"] = [{"name": "app"}]
    assert only(services.bypassing([made.service(8000)], pods(pod))).level is Level.WARNING
    assert only(services.bypassing([made.service(5000)], pods(pod))).level is Level.OK
    assert only(services.bypassing([made.service(15006)], pods(pod))).level is Level.OK


def test_a_pod_that_only_calls_has_no_port_to_be_passed() -> None:
    pod = made.injected()
    pod["spec"]["initContainers"] = [made.sidecar(served=0)]
    assert only(services.bypassing([made.service(8000)], pods(pod))).level is Level.OK


AGENT = Told("agent", "http://$(HOST_IP):8500", made.IMAGE)
CATALOG = Told("catalog", "http://consul-server.consul.svc:8500", made.IMAGE)


@pytest.mark.parametrize(
    ("told_", "level"),
    [
        (AGENT, Level.OK),
        (CATALOG, Level.OK),
        (Told(), Level.NOT_APPLICABLE),
        (Told("agent", "http://consul-server.consul.svc.cluster.local:8500"), Level.PROBLEM),
        (Told("agent", "consul.consul:8500"), Level.PROBLEM),
        (Told("agent", "https://consul.example.com"), Level.OK),
    ],
)
def test_agents_behind_one_address_for_all_nodes_are_a_problem(told_: Told, level: Level) -> None:
    assert only(registry.mode(told_, 3)).level is level


def test_one_server_behind_the_address_works_until_there_are_more() -> None:
    told_ = Told("agent", "http://consul.consul.svc:8500")
    assert only(registry.mode(told_, 1)).level is Level.WARNING
    assert only(registry.mode(told_, 2)).level is Level.PROBLEM
    assert only(registry.mode(CATALOG, 1)).level is Level.OK


@pytest.mark.parametrize(
    ("daemons", "level"),
    [
        ([], Level.PROBLEM),
        ([made.daemons(3, 3)], Level.OK),
        ([made.daemons(3, 3, "containerPort")], Level.OK),
        ([made.daemons(3, 2)], Level.PROBLEM),
        ([made.daemons(0, 0)], Level.PROBLEM),
    ],
)
def test_agent_mode_needs_a_client_on_every_node(daemons: list[dict[str, Any]], level: Level) -> None:
    assert only(registry.agents(AGENT, daemons, [])).level is level
    assert only(registry.agents(CATALOG, daemons, [])).level is Level.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("address", "port", "level"),
    [
        ("http://$(HOST_IP):18500", 18500, Level.OK),
        ("http://$(HOST_IP):18500", 8500, Level.PROBLEM),
        ("https://$(HOST_IP)", 8501, Level.OK),
        ("$(HOST_IP)", 8500, Level.OK),
        ("", 8500, Level.OK),
        ("http://$(HOST_IP):x", 8500, Level.PROBLEM),
    ],
)
def test_the_clients_have_the_port_that_sidecars_are_told(address: str, port: int, level: Level) -> None:
    found = only(registry.agents(Told("agent", address), [made.daemons(1, 1, number=port)], []))
    assert found.level is level


@pytest.mark.parametrize(
    ("clients", "level"),
    [
        ([made.client("a"), made.client("b")], Level.OK),
        ([made.client("a")], Level.PROBLEM),
        ([made.client("a"), made.client("b", ready=False)], Level.PROBLEM),
        ([made.client("a"), made.client("b"), made.client("c", ready=False)], Level.OK),
    ],
)
def test_every_node_with_a_sidecar_needs_a_client(clients: list[dict[str, Any]], level: Level) -> None:
    """Whatever the DaemonSet counts: it does not run on a node whose taint its pods don't tolerate."""
    first, second, plain = made.injected("o-1"), made.injected("o-2"), made.pod("p-1", nodeName="d")
    first["spec"]["nodeName"], second["spec"]["nodeName"] = "a", "b"
    ended = made.injected("o-3")
    ended["spec"]["nodeName"] = "e"
    ended["status"]["phase"] = "Succeeded"
    found = only(registry.agents(AGENT, [made.daemons(2, 2)], pods(first, second, plain, ended, *clients)))
    assert found.level is level
    if level is Level.PROBLEM:
        assert "b" in found.found


@pytest.mark.parametrize(
    ("there", "ready", "level"),
    [
        (False, 0, Level.PROBLEM), (True, 0, Level.PROBLEM), (True, 1, Level.OK), (True, 2, Level.WARNING),
        (True, 3, Level.OK),
    ],
)  # fmt: skip
def test_consuls_service_must_have_servers_behind_it(there: bool, ready: int, level: Level) -> None:
    service = made.service() if there else None
    assert only(registry.servers(CATALOG, service, made.slices(*([True] * ready)))).level is level
    assert only(registry.servers(AGENT, None, [])).level is Level.NOT_APPLICABLE


def test_what_the_injector_tells_the_sidecars_is_read_from_its_configmap() -> None:
    assert told(made.settings()) == AGENT
    for broken in (
        None,
        {},
        {"data": None},
        {"data": {"pillion.yaml": "{"}},
        {"data": {"pillion.yaml": "- a"}},
    ):
        assert told(broken) == Told()


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "metadata", "spec", "status", "name", "namespace", "labels", "annotations", "containers", "ports",
                "webhooks", "clientConfig", "service", "caBundle", "initContainers", "selector", "targetPort", "data",
                "containerPort", "restartPolicy", "template", "endpoints", "conditions", "gitVersion", "app",
                "ownerReferences", "containerStatuses", "initContainerStatuses", "state",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip
odd = st.dictionaries(st.sampled_from(["metadata", "spec", "status", "webhooks", "data", "endpoints"]), json)


@given(st.lists(odd, max_size=3))
def test_no_shape_of_an_object_makes_a_rule_fail(every: list[dict[str, Any]]) -> None:
    known = [*every, *(made.injected(), made.configuration())]
    found = pods(*known)
    for one in known:
        list(webhooks.failure([one]))
        webhooks.services([one])
        authority.bundle(one, NOW)
        authority.matching(one, one)
        authority.serving(one, NOW)
        registry.sweep(CATALOG, one, NOW)
        told(one)
        versions.cluster(one)
    versions.nodes(known)
    list(injection.by_namespace(known, found))
    list(injection.missing(known, found))
    sidecars.native(found)
    sidecars.ready(found)
    sidecars.versions(found, "")
    list(sidecars.jobs(found))
    services.bypassing(known, found)
    registry.agents(AGENT, known, found)
    webhooks.ready_endpoints(known)


def test_names_that_would_rule_a_terminal_are_shown_without_that() -> None:
    assert objects.shown("a\x1b[31m\n") == "a?[31m?"
    assert objects.listed(f"n{number}" for number in range(7)) == "n0, n1, n2, n3, n4 and 2 more"
