"""The variables that lead an application's requests to the sidecar."""

import pytest

from tests.unit.inject.examples import application, expanded, outcome, pod, sidecar, told

POD_IP = {"fieldRef": {"fieldPath": "status.podIP"}}


def test_both_cases_lead_to_the_sidecar_and_past_it_to_the_pod_the_api_server_and_the_clouds_metadata():
    found = expanded(told(application(pod())), POD_IP="10.1.2.3", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert found["HTTP_PROXY"] == found["http_proxy"] == "http://127.0.0.1:15001"
    assert found["NO_PROXY"] == found["no_proxy"]
    past = found["NO_PROXY"].split(",")
    assert past[:8] == [
        "localhost", "127.0.0.1", "::1", "10.1.2.3", "10.0.0.1", "kubernetes.default", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]  # fmt: skip
    assert {"169.254.169.254", "metadata.google.internal"} <= set(past)
    assert not {".svc", ".cluster.local", "svc", "cluster.local"} & set(past)


def test_what_is_replaced_in_a_value_stands_before_it():
    names = [one["name"] for one in application(pod())["env"]]
    assert names.index("POD_IP") < names.index("NO_PROXY")


@pytest.mark.parametrize("theirs", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_of_their_own_is_kept_in_both_cases_and_reported(theirs):
    one = pod(env=[{"name": theirs, "value": "http://corporate:3128"}])
    found = told(application(one))
    assert {name: value for name, value in found.items() if name.lower() == "http_proxy"} == {
        theirs: "http://corporate:3128"
    }
    assert "NO_PROXY" in found
    said = f"container app sets {theirs} itself: its requests don't go through the sidecar"
    assert said in outcome(one).warnings


def test_a_list_of_exceptions_of_their_own_is_kept_and_reported():
    one = pod(env=[{"name": "no_proxy", "value": "internal"}])
    found = told(application(one))
    assert (found["no_proxy"], "NO_PROXY" in found) == ("internal", False)
    assert any("container app sets no_proxy itself, which is kept" in said for said in outcome(one).warnings)


def test_a_pod_ip_that_is_the_pods_is_used_and_another_is_left_alone():
    with_theirs = application(pod(env=[{"name": "POD_IP", "valueFrom": POD_IP}]))
    assert [one["name"] for one in with_theirs["env"]].count("POD_IP") == 1
    other = told(application(pod(env=[{"name": "POD_IP", "value": "1.2.3.4"}])))
    assert other["POD_IP"] == "1.2.3.4"
    assert other["PILLION_POD_IP"] == POD_IP
    assert "$(PILLION_POD_IP)" in other["NO_PROXY"]


def test_explicit_ports_of_upstreams_are_told_to_application_and_hook():
    one = pod(annotations={"upstreams": "{stock-level: {port: 9001}, billing: {}}"})
    found = told(application(one))
    assert found["PILLION_UPSTREAM_STOCK_LEVEL"] == "http://127.0.0.1:9001"
    assert found["PILLION_CARRY_PORTS"] == "9001,15001"
    assert told(sidecar(one))["PILLION_UPSTREAMS"] == "{stock-level: {port: 9001}, billing: {}}"


def test_a_taken_port_moves_the_proxy_for_both():
    one = pod(ports=[{"containerPort": 8000}, {"containerPort": 15001, "name": "x"}])
    assert told(application(one))["HTTP_PROXY"] == "http://127.0.0.1:15002"
    assert told(sidecar(one))["PILLION_PROXY_OUTBOUND"] == "127.0.0.1:15002"


def test_every_ordinary_container_gets_them_and_no_init_container():
    extra = {"initContainers": [{"name": "migrate"}, {"name": "logs", "restartPolicy": "Always"}]}
    one = pod(spec=extra)
    one["spec"]["containers"].append({"name": "second"})
    spec = outcome(one).pod["spec"]
    assert all("HTTP_PROXY" in told(container) for container in spec["containers"])
    assert spec["initContainers"][1:] == extra["initContainers"]


FROM = [{"configMapRef": {"name": "corporate"}}]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ([], "HTTP_PROXY or NO_PROXY is"),
        ([{"name": "http_proxy", "value": "http://corporate:3128"}], "where NO_PROXY is"),
    ],
)
def test_a_proxy_from_a_config_map_would_be_replaced_which_is_said(env, said):
    (warning,) = [one for one in outcome(pod(env=env, envFrom=FROM)).warnings if "takes variables" in one]
    assert said in warning
    assert 'pillion.dev/proxy: "false"' in warning


def test_without_envfrom_or_with_both_of_their_own_nothing_is_replaced():
    own = [{"name": "HTTP_PROXY", "value": "http://corporate:3128"}, {"name": "no_proxy", "value": "a"}]
    for one in (pod(), pod(env=own, envFrom=FROM)):
        assert not any("envFrom: where" in said for said in outcome(one).warnings)


def test_the_variables_of_the_proxy_can_be_left_out_and_explicit_ports_remain():
    annotations = {"proxy": "false", "upstreams": "{stock: {port: 9001}}"}
    one = pod(annotations=annotations, envFrom=FROM)
    found = told(application(one))
    assert found["PILLION_UPSTREAM_STOCK"] == "http://127.0.0.1:9001"
    assert found["PILLION_CARRY_PORTS"] == "9001,15001"
    assert not {name.upper() for name in found} & {"HTTP_PROXY", "NO_PROXY", "POD_IP"}
    assert not any("HTTP_PROXY" in said for said in outcome(one).warnings)
