"""The sidecar's container."""

import pytest

from agent.config import sources
from agent.config.disk import LocalDisk
from agent.config.sections.kubernetes import Kubernetes
from agent.config.settings import Settings
from agent.inject.injection import inject, uninject
from tests.pod_security import violations
from tests.unit.inject.examples import expanded, outcome, pod, sidecar, told
from tests.unit.inject.properties import OPTED_IN


def test_it_is_a_native_sidecar_before_all_other_init_containers():
    spec = outcome(pod(spec={"initContainers": [{"name": "migrate"}]})).pod["spec"]
    assert [(one["name"], one.get("restartPolicy")) for one in spec["initContainers"]] == [
        ("pillion", "Always"),
        ("migrate", None),
    ]


def test_it_is_admitted_where_restricted_is_enforced_and_runs_as_nobody_with_nothing():
    container = sidecar(pod())
    assert violations({"containers": [container]}) == []
    security = container["securityContext"]
    assert (security["runAsUser"], security["readOnlyRootFilesystem"]) == (65532, True)
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_its_probes_ask_for_envoy_and_never_for_the_application_and_none_kills_it():
    container = sidecar(pod())
    ask = {"httpGet": {"path": "/envoyz", "port": 15021}}
    assert container["startupProbe"] == {**ask, "periodSeconds": 1, "failureThreshold": 60}
    assert container["readinessProbe"] == {**ask, "periodSeconds": 5}
    assert "livenessProbe" not in container
    assert container["lifecycle"] == {"preStop": {"exec": {"command": ["pillion", "drain", "--begin"]}}}


def test_it_knows_its_pod_by_the_downward_api():
    found = told(sidecar(pod()))
    fields = {
        name: value["fieldRef"]["fieldPath"] for name, value in found.items() if isinstance(value, dict)
    }
    assert fields == {
        "POD_IP": "status.podIP",
        "HOST_IP": "status.hostIP",
        "PILLION_KUBERNETES_POD_UID": "metadata.uid",
        "PILLION_KUBERNETES_POD": "metadata.name",
        "PILLION_KUBERNETES_NAMESPACE": "metadata.namespace",
        "PILLION_KUBERNETES_NODE": "spec.nodeName",
    }


def test_what_the_injector_is_set_to_reaches_every_sidecar():
    found = told(
        sidecar(
            pod(), consul_address="https://consul:8501", consul_token_secret="token", registry_mode="catalog",
            tracing_endpoint="http://jaeger:4318", tracing_sample=0.25,
        )
    )  # fmt: skip
    assert found["CONSUL_HTTP_ADDR"] == "https://consul:8501"
    assert found["CONSUL_HTTP_TOKEN_FILE"] == "/etc/pillion/consul/token"
    assert found["PILLION_REGISTRY_MODE"] == "catalog"
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://jaeger:4318"
    assert found["PILLION_DEFAULT_TRACING_SAMPLE"] == "0.25"


def test_with_a_login_the_sidecar_is_told_how_and_gets_a_token_that_the_application_does_not_get():
    one = outcome(pod(), consul_login_method="pillion").pod["spec"]
    (container,) = one["initContainers"]
    found = told(container)
    assert found["PILLION_REGISTRY_LOGIN_METHOD"] == "pillion"
    folder, _, name = found["PILLION_REGISTRY_LOGIN_TOKEN_FILE"].rpartition("/")
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == folder]
    assert mount["readOnly"] is True
    (volume,) = [each for each in one["volumes"] if each["name"] == mount["name"]]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["path"] == name
    assert mount["name"] not in {each["name"] for each in one["containers"][0]["volumeMounts"]}
    assert "CONSUL_HTTP_TOKEN_FILE" not in found
    assert uninject(outcome(pod(), consul_login_method="pillion").pod).pod == pod()
    assert "PILLION_REGISTRY_LOGIN_METHOD" not in told(sidecar(pod()))


def test_a_file_of_settings_says_itself_how_to_log_in():
    one = pod(annotations={"config": "orders-settings"})
    assert "PILLION_REGISTRY_LOGIN_METHOD" not in told(sidecar(one, consul_login_method="pillion"))


def test_what_the_injector_knows_of_its_cluster_reaches_every_sidecar():
    cluster = Kubernetes(cluster="west", namespaces=("shop", "billing"))
    found = inject(pod(), OPTED_IN, Settings(kubernetes=cluster)).pod["spec"]["initContainers"][0]
    assert told(found)["PILLION_KUBERNETES_CLUSTER"] == "west"
    assert told(found)["PILLION_KUBERNETES_NAMESPACES"] == "shop,billing"
    usual = told(sidecar(pod()))
    assert usual["PILLION_KUBERNETES_CLUSTER"] == "kubernetes"
    assert "PILLION_KUBERNETES_NAMESPACES" not in usual


def test_a_file_of_settings_wins_over_the_injector_but_not_over_what_the_pod_must_be():
    one = pod(annotations={"config": "orders-settings"})
    container = sidecar(one, tracing_sample=0.5, registry_mode="catalog")
    found = told(container)
    assert found["PILLION_CONFIG"] == "/etc/pillion/config/pillion.yaml"
    assert {"name": "pillion-config", "mountPath": "/etc/pillion/config", "readOnly": True} in container[
        "volumeMounts"
    ]
    assert not {"PILLION_TRACING_SAMPLE", "PILLION_REGISTRY_ADDRESS"} & found.keys()
    assert found["PILLION_PROXY_INBOUND"] == "0.0.0.0:15006"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("service: {zone: a}", ("catalog", 0.5, "kubernetes")),
        (
            "{registry: {mode: agent}, tracing: {sample: 1}, kubernetes: {cluster: other}}",
            ("catalog", 1.0, "kubernetes"),
        ),
    ],
)
def test_a_file_of_settings_chooses_its_share_of_traces_but_not_how_the_cluster_registers(
    tmp_path, monkeypatch, written, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pillion.yaml").write_text(written)
    one = sidecar(pod(annotations={"config": "c"}), tracing_sample=0.5, registry_mode="catalog")
    environ = {**expanded(told(one), POD_IP="10.0.0.7", HOST_IP="10.0.0.1"), "PILLION_CONFIG": "pillion.yaml"}
    resolved = sources.load({}, environ, None, LocalDisk())
    found = resolved.settings
    assert (found.registry.mode, found.tracing.sample, found.kubernetes.cluster) == expected
    assert resolved.warnings == ()


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}),
        (
            {"memory-limit": "64Mi"},
            {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        ),
        (
            {"cpu-limit": "1", "cpu-request": "0.25"},
            {"requests": {"cpu": "0.25", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        ),
        (
            {"memory-request": "1Gi"},
            {"requests": {"cpu": "50m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        ),
    ],
)
def test_a_request_and_a_limit_always_fit_together(annotations, expected):
    assert sidecar(pod(annotations=annotations))["resources"] == expected


def test_image_and_pull_policy():
    container = sidecar(pod(annotations={"image": "mine:1"}), image="theirs:1", image_pull_policy="Always")
    assert (container["image"], container["imagePullPolicy"]) == ("mine:1", "Always")
    assert "imagePullPolicy" not in sidecar(pod())


def test_names_ports_and_volumes_of_theirs_are_never_taken():
    volumes = [{"name": f"pillion-{kind}"} for kind in ("hook", "state", "config", "outbox", "consul")]
    one = pod(
        name="pillion",
        annotations={"config": "c", "outbox-database-secret": "s"},
        ports=[{"containerPort": port} for port in (8000, 15006, 15007, 15021, 15090)]
        + [{"containerPort": 1, "name": "http"}],
        spec={"volumes": volumes},
    )
    spec = outcome(one, consul_token_secret="t").pod["spec"]
    container = spec["initContainers"][0]
    assert container["name"] == "pillion-2"
    assert [port["containerPort"] for port in container["ports"]] == [15008, 15022, 15091]
    assert container["startupProbe"]["httpGet"]["port"] == 15022
    names = [volume["name"] for volume in spec["volumes"]]
    assert len(names) == len(set(names)) == 10
