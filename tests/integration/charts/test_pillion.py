"""The chart pillion: who is asked about which pod, with which rights, and how the injector is told what it is to do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.doctor import rights as doctor
from agent.inject import decide, rights
from agent.inject.injection import Namespace, inject
from agent.metrics import alerts, dashboard
from tests.integration.charts import switches
from tests.integration.charts.rendering import Helm, merged, one
from tests.integration.charts.settings import settled

APP = {"name": "app", "ports": [{"name": "http", "containerPort": 8000}]}
CATALOG = {"clusterName": "east", "consul": {"mode": "catalog"}}


def _webhooks(helm: Helm, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = one(helm.render("pillion", values), "MutatingWebhookConfiguration")[
        "webhooks"
    ]
    return found


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """As Kubernetes evaluates a label selector. Source: its documentation, "Labels and Selectors"."""
    for one_of in selector["matchExpressions"]:
        value, wanted = labels.get(one_of["key"]), one_of.get("values", ())
        right = {
            "In": value in wanted,
            "NotIn": value not in wanted,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not right[one_of["operator"]]:
            return False
    return True


def _asked(
    webhooks: list[dict[str, Any]], namespace: str, on: Mapping[str, str], pod: Mapping[str, str]
) -> int:
    named = {"kubernetes.io/metadata.name": namespace, **on}
    return sum(
        _selects(one["namespaceSelector"], named) and _selects(one["objectSelector"], pod) for one in webhooks
    )


@pytest.mark.parametrize("revision", ["", "canary"])
@pytest.mark.parametrize("pod_revision", [None, "canary", "other"])
@pytest.mark.parametrize("revision_on", [None, "canary"])
@pytest.mark.parametrize("wish", [None, "true", "false"])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_api_server_asks_once_about_a_pod_that_the_injector_would_inject_and_never_about_another(
    helm: Helm,
    revision: str,
    pod_revision: str | None,
    revision_on: str | None,
    wish: str | None,
    enabled: bool,
) -> None:
    """The selectors and the decision are written twice, in two languages: here they are compared."""
    labels = {"pillion.dev/inject": wish, "pillion.dev/revision": pod_revision}
    pod = {key: value for key, value in labels.items() if value is not None}
    on = {"pillion.dev/inject": "enabled"} if enabled else {}
    on |= {"pillion.dev/revision": revision_on} if revision_on else {}
    whole = {"metadata": {"labels": pod}, "spec": {"containers": [{"name": "app"}]}}
    decided = decide.decide(whole, "shop", on, revision)
    assert not decided.problems
    assert _asked(_webhooks(helm, {"revision": revision}), "shop", on, pod) == (0 if decided.skip else 1)


@pytest.mark.parametrize(
    "namespace", ["kube-system", "kube-public", "kube-node-lease", "somewhere", "legacy"]
)
def test_the_clusters_own_pods_and_the_injectors_start_without_the_injector(
    helm: Helm, namespace: str
) -> None:
    webhooks = _webhooks(helm, {"injector": {"excludedNamespaces": ["legacy"]}})
    for wish in ({}, {"pillion.dev/inject": "true"}):
        assert _asked(webhooks, namespace, {"pillion.dev/inject": "enabled"}, wish) == 0


def test_a_pod_of_the_mesh_is_not_created_without_its_sidecar(helm: Helm) -> None:
    for webhook in _webhooks(helm, {"revision": "canary"}):
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["sideEffects"] == "None"
        (rule,) = webhook["rules"]
        assert (rule["resources"], rule["operations"]) == (["pods"], ["CREATE"])


@pytest.mark.parametrize("source", ["made", "cert-manager", "secret"])
@pytest.mark.parametrize("mode", ["agent", "catalog"])
def test_the_injector_may_do_exactly_what_it_does(helm: Helm, mode: str, source: str) -> None:
    """Compared with the code's own list of its calls."""
    certificate = {"source": source, "existingSecret": "mine", "caBundle": "Y2E="}
    values = {"clusterName": "east", "consul": {"mode": mode}, "injector": {"certificate": certificate}}
    needed = rights.ALWAYS
    needed += rights.CERTIFICATES if source == "made" else ()
    needed += rights.SWEEP if mode == "catalog" else ()
    settings = yaml.safe_load(
        one(helm.render("pillion", values), "ConfigMap", "pillion-injector")["data"]["pillion.yaml"]
    )
    names = {f"webhook.{key}": value for key, value in settings["webhook"].items() if isinstance(value, str)}
    rendered = helm.render("pillion", values)
    for kind, own in (("ClusterRole", False), ("Role", True)):
        wanted = rights.rules(needed, names, own=own)
        found = [rule for role in rendered if role["kind"] == kind for rule in role["rules"]]
        assert _sorted(found) == _sorted(wanted), kind


def test_the_doctor_may_read_exactly_what_it_looks_at_and_only_where_it_is_asked_for(helm: Helm) -> None:
    def those(values: Mapping[str, Any]) -> list[dict[str, Any]]:
        rendered = helm.render("pillion", values)
        return [found for found in rendered if found["metadata"]["name"] == "pillion-doctor"]

    assert those({}) == []
    rendered = those({"doctor": {"enabled": True}})
    for kind, own in (("ClusterRole", False), ("Role", True)):
        role = one(rendered, kind)
        assert _sorted(role["rules"]) == _sorted(doctor.rules("pillion-injector", own=own)), kind
        binding = one(rendered, f"{kind}Binding")
        assert binding["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": kind,
            "name": "pillion-doctor",
        }
        account = {"kind": "ServiceAccount", "name": "pillion-doctor", "namespace": "somewhere"}
        assert binding["subjects"] == [account]
    assert one(rendered, "ServiceAccount")


def test_each_right_has_its_reason_beside_it() -> None:
    folder = Path(__file__).parents[3] / "charts" / "pillion" / "templates"
    text = " ".join((folder / "doctor.yaml").read_text().replace("#", " ").split())
    assert [right.why for right in doctor.ALL if right.why not in text] == []


def _sorted(rules: list[dict[str, list[str]]]) -> list[str]:
    return sorted(
        json.dumps({key: sorted(value) for key, value in rule.items()}, sort_keys=True) for rule in rules
    )


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("source", ["made", "cert-manager", "secret"])
def test_the_injector_takes_the_settings_that_the_chart_writes(
    helm: Helm, tmp_path: Path, source: str, full: bool
) -> None:
    certificate = {"source": source, "existingSecret": "mine", "caBundle": "Y2E="}
    values = merged(switches.FULL["pillion"] if full else {}, {"injector": {"certificate": certificate}})
    text = one(helm.render("pillion", values), "ConfigMap", "pillion-injector")["data"]["pillion.yaml"]
    settings = settled(text, tmp_path, ["/run/secrets/pillion/consul/token"] if full else [])
    assert settings.injector.image == "pillion:0.1.0"
    assert settings.injector.cluster_version == "1.32"
    assert settings.injector.registry_mode == ("catalog" if full else "agent")
    assert settings.injector.resources.memory_limit == "512Mi"
    assert settings.webhook.certificate == ("made" if source == "made" else "files")


@pytest.mark.parametrize("full", [True, False])
def test_the_gateway_takes_the_settings_that_the_chart_writes(helm: Helm, tmp_path: Path, full: bool) -> None:
    values = switches.FULL["pillion"] if full else {}
    text = one(helm.render("pillion", values), "ConfigMap", "pillion-gateway")["data"]["pillion.yaml"]
    secrets = ["/run/secrets/pillion/consul/token"] if full else []
    settings = settled(text, tmp_path, secrets, require="gateway")
    assert settings.gateway.listen == "0.0.0.0:10000"
    assert settings.admin.metrics == "0.0.0.0:15090"


def test_settings_of_ones_own_win(helm: Helm, tmp_path: Path) -> None:
    values = {"injector": {"config": {"injector": {"tracing_sample": 0.5}, "webhook": {"spread": "9s"}}}}
    text = one(helm.render("pillion", values), "ConfigMap", "pillion-injector")["data"]["pillion.yaml"]
    settings = settled(text, tmp_path)
    assert (settings.injector.tracing_sample, settings.webhook.spread) == (0.5, 9.0)


@pytest.mark.parametrize("name", ["injector", "gateway"])
def test_a_changed_setting_makes_new_pods_and_an_unchanged_one_none(helm: Helm, name: str) -> None:
    def mark(**values: Any) -> str:
        template = one(helm.render("pillion", values), "Deployment", f"pillion-{name}")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert mark() == mark()
    assert mark() != mark(tracing={"endpoint": "http://jaeger:4318"})


def test_the_injector_is_there_twice_on_other_nodes_and_not_drained_at_once(helm: Helm) -> None:
    rendered = helm.render("pillion")
    deployment = one(rendered, "Deployment", "pillion-injector")
    assert deployment["spec"]["replicas"] == 2
    budget = one(rendered, "PodDisruptionBudget", "pillion-injector")
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert budget["spec"]["maxUnavailable"] == 1
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_two_injectors_in_one_cluster_share_nothing(helm: Helm) -> None:
    first = helm.render("pillion", CATALOG)
    second = helm.render("pillion", {**CATALOG, "revision": "canary"}, release="canary")
    names = [{(one["kind"], one["metadata"]["name"]) for one in rendered} for rendered in (first, second)]
    assert not names[0] & names[1]


def test_with_cert_manager_its_ca_comes_into_the_configuration_and_its_secret_into_the_pods(
    helm: Helm,
) -> None:
    rendered = helm.render("pillion", {"injector": {"certificate": {"source": "cert-manager"}}})
    configuration = one(rendered, "MutatingWebhookConfiguration")
    certificate = one(rendered, "Certificate", "pillion-injector")
    named = f"somewhere/{certificate['metadata']['name']}"
    assert configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == named
    service = configuration["webhooks"][0]["clientConfig"]["service"]
    assert f"{service['name']}.{service['namespace']}.svc" in certificate["spec"]["dnsNames"]
    volumes = one(rendered, "Deployment", "pillion-injector")["spec"]["template"]["spec"]["volumes"]
    assert {one["secret"]["secretName"] for one in volumes if "secret" in one} == {
        certificate["spec"]["secretName"]
    }


def test_with_cert_manager_what_is_trusted_stays_when_the_certificate_is_renewed(helm: Helm) -> None:
    """A certificate that is its own issuer is trusted before the pods have it, and theirs no longer."""
    rendered = helm.render("pillion", {"injector": {"certificate": {"source": "cert-manager"}}})
    leaf = one(rendered, "Certificate", "pillion-injector")["spec"]
    issuer = one(rendered, "Issuer", leaf["issuerRef"]["name"])["spec"]
    assert "selfSigned" not in issuer
    (ca,) = [
        found["spec"]
        for found in rendered
        if found["kind"] == "Certificate" and found["spec"]["secretName"] == issuer["ca"]["secretName"]
    ]
    assert ca["isCA"] is True
    assert not leaf.get("isCA")
    assert ca["secretName"] != leaf["secretName"]
    assert one(rendered, "Issuer", ca["issuerRef"]["name"])["spec"] == {"selfSigned": {}}
    # Its name and its key stay, so what the former one signed is good by the next one too.
    assert ca["privateKey"]["rotationPolicy"] == "Never"
    assert ca["commonName"]
    assert int(ca["duration"].removesuffix("h")) - int(ca["renewBefore"].removesuffix("h")) >= 5 * 8760


def test_with_an_issuer_of_ones_own_the_chart_makes_none(helm: Helm) -> None:
    certificate = {"source": "cert-manager", "issuer": {"name": "company", "kind": "ClusterIssuer"}}
    rendered = helm.render("pillion", {"injector": {"certificate": certificate}})
    assert one(rendered, "Certificate")["spec"]["issuerRef"] == {"name": "company", "kind": "ClusterIssuer"}
    assert not [found for found in rendered if found["kind"] == "Issuer"]


UPGRADES: tuple[Mapping[str, Any], ...] = (
    {},
    {"injector": {"timeoutSeconds": 20, "excludedNamespaces": ["legacy"], "replicas": 3}},
    {"image": {"tag": "9.9.9"}, "clusterName": "east", "consul": {"mode": "catalog"}},
    {"revision": "canary"},
    switches.FULL["pillion"],
)


@pytest.mark.parametrize("source", ["made", "cert-manager"])
def test_no_upgrade_resets_the_ca_that_others_write(helm: Helm, source: str) -> None:
    """Helm leaves what it never wrote: by its three-way merge, as by server-side apply, which owns only what is
    rendered. Both find a webhook of the list by its name. An empty caBundle would be written, and be what counts."""
    before = {one["name"] for one in _webhooks(helm, {"injector": {"certificate": {"source": source}}})}
    for values in UPGRADES:
        found = _webhooks(helm, merged(values, {"injector": {"certificate": {"source": source}}}))
        names = [one["name"] for one in found]
        assert len(set(names)) == len(names)
        assert before <= set(names), "a webhook of another name begins without a CA"
        for webhook in found:
            assert set(webhook["clientConfig"]) == {"service"}
            assert "caBundle" not in webhook["clientConfig"]["service"]


def test_no_upgrade_makes_the_webhook_configuration_anew(helm: Helm) -> None:
    """A hook would be deleted and made anew at each upgrade, and its CA with it."""
    for source in ("made", "cert-manager"):
        rendered = helm.render("pillion", {"injector": {"certificate": {"source": source}}})
        annotations = one(rendered, "MutatingWebhookConfiguration")["metadata"].get("annotations", {})
        assert not [key for key in annotations if key.startswith("helm.sh/")]


def test_a_certificate_of_ones_own_needs_its_ca(helm: Helm) -> None:
    done = helm.run(
        "template", "x", str(Path(__file__).parents[3] / "charts" / "pillion"), "--kube-version", "1.32",
        values={"injector": {"certificate": {"source": "secret", "existingSecret": "mine"}}},
    )  # fmt: skip
    assert done.returncode != 0
    assert "injector.certificate.caBundle" in done.stderr


def test_in_catalogue_mode_a_cluster_needs_a_name_since_those_of_one_name_sweep_each_other(
    helm: Helm,
) -> None:
    chart = str(Path(__file__).parents[3] / "charts" / "pillion")
    argv = ("template", "x", chart, "--kube-version", "1.32")
    done = helm.run(*argv, values={"consul": {"mode": "catalog"}})
    assert done.returncode != 0
    assert "clusterName is empty" in done.stderr
    assert "kube-system" in done.stderr
    own = {"injector": {"config": {"kubernetes": {"cluster": "west"}}}}
    assert helm.run(*argv, values={"consul": {"mode": "catalog"}, **own}).returncode == 0


@pytest.mark.parametrize("mode", ["agent", "catalog"])
def test_the_injector_and_by_it_the_sidecars_are_told_the_clusters_name(
    helm: Helm, tmp_path: Path, mode: str
) -> None:
    uid = "3f0a9c1e-7a55-4d52-9d1b-0c9f6f4f7a11"
    values = {"clusterName": uid, "consul": {"mode": mode}}
    text = one(helm.render("pillion", values), "ConfigMap", "pillion-injector")["data"]["pillion.yaml"]
    found = inject(
        {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [APP]}},
        Namespace("shop", {"pillion.dev/inject": "enabled"}),
        settled(text, tmp_path),
    )
    told = found.pod["spec"]["initContainers"][0]["env"]
    assert {"name": "PILLION_KUBERNETES_CLUSTER", "value": uid} in told


def test_sidecars_log_in_where_the_chart_names_an_auth_method(helm: Helm, tmp_path: Path) -> None:
    values = {"consul": {"sidecarLoginMethod": "pillion"}}
    text = one(helm.render("pillion", values), "ConfigMap", "pillion-injector")["data"]["pillion.yaml"]
    assert settled(text, tmp_path).injector.consul_login_method == "pillion"
    both = {"consul": {"sidecarLoginMethod": "pillion", "sidecarTokenSecret": "sidecars"}}
    chart = str(Path(__file__).parents[3] / "charts" / "pillion")
    done = helm.run("template", "x", chart, "--kube-version", "1.32", values=both)
    assert done.returncode != 0
    assert "both given" in done.stderr


def test_a_gateway_with_a_secret_speaks_tls_with_the_files_that_are_mounted(helm: Helm) -> None:
    rendered = helm.render(
        "pillion", {"gateway": {"tlsSecret": "shop-tls", "config": {"gateway": {"trusted_hops": 1}}}}
    )
    written = yaml.safe_load(one(rendered, "ConfigMap", "pillion-gateway")["data"]["pillion.yaml"])["gateway"]
    pod = one(rendered, "Deployment", "pillion-gateway")["spec"]["template"]["spec"]
    (mounted,) = (one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "tls")
    (volume,) = (one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == "tls")
    assert volume == "shop-tls"
    assert written["tls"] == {
        "certificate": f"{mounted['mountPath']}/tls.crt",
        "key": f"{mounted['mountPath']}/tls.key",
    }
    assert (written["listen"], written["trusted_hops"]) == ("0.0.0.0:10000", 1)


def test_autoscaling_leaves_the_number_of_gateways_alone(helm: Helm) -> None:
    rendered = helm.render("pillion", {"gateway": {"autoscaling": {"enabled": True}}})
    assert "replicas" not in one(rendered, "Deployment", "pillion-gateway")["spec"]
    assert one(rendered, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "pillion-gateway"


def test_the_alert_rules_and_the_dashboard_are_those_of_the_list_of_metrics(helm: Helm) -> None:
    rendered = helm.render(
        "pillion", {"monitoring": {"rules": True, "dashboard": True, "datasource": "mine"}}
    )
    assert one(rendered, "PrometheusRule")["spec"] == alerts.document()
    board = one(rendered, "ConfigMap", "pillion-dashboard")["data"]["pillion.json"]
    assert json.loads(board) == json.loads(
        json.dumps(dashboard.document()).replace("pillion-prometheus", "mine")
    )


def test_every_target_gets_the_labels_that_rules_and_dashboard_need(helm: Helm) -> None:
    rendered = helm.render("pillion", {"monitoring": {"monitors": True}})
    endpoints = (
        one(rendered, "ServiceMonitor")["spec"]["endpoints"][0],
        one(rendered, "PodMonitor")["spec"]["podMetricsEndpoints"][0],
    )
    for endpoint in endpoints:
        assert {"job", "service", "instance"} <= {one.get("targetLabel") for one in endpoint["relabelings"]}
