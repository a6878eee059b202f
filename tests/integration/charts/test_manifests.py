"""What all charts render, with each switch both ways."""

import json
import re
from typing import Any

import pytest

from tests.charts import generated, values
from tests.integration.charts import switches
from tests.integration.charts.rendering import (
    CHARTS,
    NEEDED,
    Helm,
    again,
    containers,
    merged,
    nested,
    templates,
)
from tests.kubernetes_schemas import VERSIONS, validate
from tests.pod_security import violations

FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate", "Issuer"}
"""Kinds that Kubernetes does not have itself."""
HOST_PORT = {"DaemonSet infrastructure-consul-client"}
"""Pods that Pod Security "restricted" can't admit: the node's port is what they are for."""


def _values(chart: str, key: str, way: object, full: bool) -> dict[str, Any]:
    below = (switches.FULL if full else switches.ALONE).get(chart, {})
    return merged(below, nested(key, way))


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_helms_own_lint_finds_nothing(helm: Helm, chart: str) -> None:
    done = helm.run("lint", "--strict", str(CHARTS / chart), values=NEEDED.get(chart, {}))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_every_switch_is_tried_both_ways(chart: str) -> None:
    declared = values.read((CHARTS / chart / "values.yaml").read_text())
    known = {one.key for one in declared if isinstance(one.default, bool)}
    assert known <= set(switches.WAYS[chart])


@pytest.mark.parametrize(("chart", "key", "way", "full"), switches.CASES)
def test_kubernetes_takes_what_is_rendered_whatever_is_switched_on_or_off(
    helm: Helm, chart: str, key: str, way: object, full: bool
) -> None:
    for document in helm.render(chart, _values(chart, key, way, full)):
        if document["kind"] not in FOREIGN:
            place = f"{document['kind']} {document['metadata']['name']}"
            assert validate(document) == [], place


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("chart", generated.CHARTS)
def test_every_supported_kubernetes_takes_it(helm: Helm, chart: str, version: str) -> None:
    for document in helm.render(chart, switches.FULL[chart], kube=version):
        if document["kind"] not in FOREIGN:
            assert validate(document, version) == [], document["metadata"]["name"]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("chart", generated.CHARTS)
def test_pods_are_admitted_where_pod_security_is_restricted(helm: Helm, chart: str, full: bool) -> None:
    for place, template in templates(helm.render(chart, switches.FULL[chart] if full else {})):
        wrong = violations(template["spec"])
        assert bool(wrong) is (place in HOST_PORT), f"{place}: {wrong}"
        assert all("hostPort" in line for line in wrong), f"{place}: {wrong}"


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_every_container_has_a_read_only_root_a_pull_policy_and_bounds(helm: Helm, chart: str) -> None:
    for place, template in templates(helm.render(chart, switches.FULL[chart])):
        assert template["spec"]["enableServiceLinks"] is False, place
        for container in containers(template):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, place
            assert container["imagePullPolicy"] == "IfNotPresent", place
            assert container["resources"]["requests"]["memory"], place
            assert container["resources"]["limits"]["memory"], place


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_every_volume_that_is_mounted_is_there_and_every_port_that_is_named(helm: Helm, chart: str) -> None:
    for place, template in templates(helm.render(chart, switches.FULL[chart])):
        volumes = {one["name"] for one in template["spec"].get("volumes", ())} | {"data"}
        for container in containers(template):
            mounted = {one["name"] for one in container.get("volumeMounts", ())}
            assert mounted <= volumes, place
            paths = [one["mountPath"] for one in container.get("volumeMounts", ())]
            assert len(paths) == len(set(paths)), place
            ports = {port["name"] for port in container.get("ports", ())}
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(name, {})
                asked = {probe[way]["port"] for way in ("httpGet", "tcpSocket") if way in probe}
                assert asked <= ports, f"{place} {name}"


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_a_services_target_is_a_port_of_the_pods_that_it_selects(helm: Helm, chart: str) -> None:
    rendered = helm.render(chart, switches.FULL[chart])
    pods = [template for _, template in templates(rendered)]
    for service in (one for one in rendered if one["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        chosen = [pod for pod in pods if wanted <= pod["metadata"]["labels"].items()]
        assert chosen, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            for pod in chosen:
                known = {one["name"] for container in containers(pod) for one in container.get("ports", ())}
                # The sidecar's inbound comes with the injection.
                assert port["targetPort"] in known | {15006}, service["metadata"]["name"]


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_only_pods_that_are_to_be_in_the_mesh_can_be_injected(helm: Helm, chart: str) -> None:
    for place, template in templates(helm.render(chart, switches.FULL[chart])):
        wanted = "true" if place == "Deployment orders" else "false"
        assert template["metadata"]["labels"]["pillion.dev/inject"] == wanted, place


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_a_service_account_token_is_mounted_only_where_the_api_is_asked(helm: Helm, chart: str) -> None:
    rendered = helm.render(chart, switches.FULL[chart])
    bound = {
        subject["name"]
        for document in rendered
        if document["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        for subject in document["subjects"]
    }
    for place, template in templates(rendered):
        spec = template["spec"]
        asks = spec.get("serviceAccountName") in bound
        assert spec["automountServiceAccountToken"] is asks, place


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_names_of_objects_differ_and_are_short_enough_for_a_long_release(helm: Helm, chart: str) -> None:
    rendered = helm.render(chart, switches.FULL[chart], release="a" * 53)
    seen = [(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in rendered]
    assert len(seen) == len(set(seen))
    for kind, name, _ in seen:
        assert len(name) <= (52 if kind in {"CronJob", "StatefulSet"} else 63), f"{kind} {name}"


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_an_image_is_named_by_its_digest_where_there_is_one_and_by_a_parents_registry(
    helm: Helm, chart: str
) -> None:
    digest = f"sha256:{'0' * 64}"
    declared = values.read((CHARTS / chart / "values.yaml").read_text())
    given: dict[str, Any] = {
        "global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["parents"]}
    }
    for one in declared:
        if one.path[-1] == "digest":
            given = merged(given, nested(one.key, digest))
    for place, template in templates(helm.render(chart, given)):
        assert {"name": "parents"} in template["spec"]["imagePullSecrets"], place
        for container in containers(template):
            assert container["image"].startswith("mirror.example.com/"), place
            assert container["image"].endswith(f"@{digest}"), place


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_a_chart_works_as_a_subchart_with_its_parents_values(helm: Helm, chart: str) -> None:
    helm.render(chart, {"enabled": True, "global": {"anything": {"goes": 1}}})


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_every_rule_of_rbac_says_its_reason_right_above_it(helm: Helm, chart: str) -> None:
    lines = helm.text(chart, switches.FULL[chart]).splitlines()
    rules = [number for number, line in enumerate(lines) if re.match(r" *- apiGroups: \[", line)]
    assert rules
    for number in rules:
        assert re.match(r" *# [A-Z]", lines[number - 1]), lines[number]


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_no_right_is_wider_than_needed(helm: Helm, chart: str) -> None:
    for document in helm.render(chart, switches.FULL[chart]):
        if document["kind"] not in {"Role", "ClusterRole"}:
            continue
        for rule in document["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not {"escalate", "bind", "impersonate", "delete", "deletecollection"} & set(rule["verbs"])
            if set(rule["verbs"]) - {"create", "list", "watch", "get"}:
                assert rule["resourceNames"], rule
            if rule["resources"] == ["secrets"]:
                assert document["kind"] == "Role"
                assert rule["verbs"] == ["create"] or rule["resourceNames"], rule


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_no_template_looks_into_a_cluster_for_what_was_generated(chart: str) -> None:
    for template in (CHARTS / chart / "templates").iterdir():
        code = re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", template.read_text(), flags=re.DOTALL)
        # Of how many pods there are nothing is generated.
        code = re.sub(r'\(lookup "apps/v1" "Deployment" [^()]*\)', "", code)
        assert not re.search(r"\b(lookup|randAlphaNum|randBytes|genCA|genSignedCert|uuidv4|htpasswd)\b", code)


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_rendering_twice_is_the_same_so_an_upgrade_changes_no_secret_and_no_pod(
    helm: Helm, chart: str
) -> None:
    first = helm.text(chart, switches.FULL[chart])
    again()
    assert helm.text(chart, switches.FULL[chart]) == first


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_hooks_leave_nothing_behind_and_have_what_they_need_before_them(helm: Helm, chart: str) -> None:
    hooks = [one for one in helm.render(chart, switches.FULL[chart]) if "helm.sh/hook" in _annotations(one)]
    weights = {
        (one["kind"], one["metadata"]["name"]): int(_annotations(one)["helm.sh/hook-weight"]) for one in hooks
    }
    assert hooks
    for one in hooks:
        assert _annotations(one)["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    for place, template in templates(hooks):
        kind, name = place.split()
        text = json.dumps(template["spec"])
        used = {("ConfigMap", found) for found in re.findall(r'"configMap": \{"name": "([^"]+)"', text)}
        used |= {("ServiceAccount", found) for found in re.findall(r'"serviceAccountName": "([^"]+)"', text)}
        for other in used:
            assert weights[other] < weights[kind, name], f"{place} needs {other}"


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = document["metadata"].get("annotations") or {}
    return found


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_a_value_that_does_not_exist_is_refused_by_name(helm: Helm, chart: str) -> None:
    declared = values.read((CHARTS / chart / "values.yaml").read_text())
    for group in {(), *values.groups(declared)}:
        wrong = merged(NEEDED.get(chart, {}), nested(".".join((*group, "tpyo")), 1))
        done = helm.run("template", "x", str(CHARTS / chart), "--kube-version", "1.32", values=wrong)
        assert done.returncode != 0, group
        assert "tpyo" in done.stderr, group
