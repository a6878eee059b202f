"""The chart service: its pods ask for the sidecar, and what it tells them is what the injector takes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from agent.config.settings import Settings
from agent.inject import injection
from agent.inject.injection import Namespace, Verdict
from tests.integration.charts import switches
from tests.integration.charts.rendering import CHARTS, NEEDED, Helm, merged, one
from tests.integration.charts.settings import settled
from tests.kubernetes_schemas import validate
from tests.pod_security import violations

OUTBOX = {
    "databaseSecret": "outbox",
    "config": {"changes": [{"table": "orders"}], "broker": {"create": True}},
}


def _template(helm: Helm, values: Any = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = one(helm.render("service", values, **more), "Deployment")["spec"]["template"]
    return found


def _container(helm: Helm, values: Any = None, **more: Any) -> dict[str, Any]:
    (found,) = _template(helm, values, **more)["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("full", [True, False])
def test_the_injector_injects_the_pods_and_finds_nothing_wrong(helm: Helm, full: bool) -> None:
    values = switches.FULL["service"] if full else {}
    settings = Settings()
    if full:
        settings = _revision(settings, "canary")
    outcome = injection.inject(_template(helm, values), Namespace("shop"), settings)
    assert outcome.verdict is Verdict.INJECTED, outcome.reason
    assert outcome.problems == ()
    assert not [line for line in outcome.warnings if "not an annotation" in line]
    deployment = one(helm.render("service", values), "Deployment")
    deployment["spec"]["template"] = outcome.pod
    assert validate(deployment) == []
    assert violations(outcome.pod["spec"]) == []


@pytest.mark.parametrize(
    "file", sorted((CHARTS.parent / "docs/kubernetes/shop").glob("*.yaml")), ids=lambda one: one.stem
)
def test_the_values_of_the_sample_shop_give_pods_that_the_injector_takes(helm: Helm, file: Path) -> None:
    rendered = helm.render("service", yaml.safe_load(file.read_text()), release=file.stem)
    outcome = injection.inject(one(rendered, "Deployment")["spec"]["template"], Namespace("shop"), Settings())
    assert outcome.verdict is Verdict.INJECTED, outcome.reason
    assert not [line for line in outcome.warnings if "not an annotation" in line]


def _revision(settings: Settings, revision: str) -> Settings:
    return msgspec.structs.replace(
        settings, injector=msgspec.structs.replace(settings.injector, revision=revision)
    )


def test_the_pod_asks_by_a_label_and_says_all_that_it_is_by_annotations(helm: Helm) -> None:
    metadata = _template(helm, switches.FULL["service"])["metadata"]
    assert metadata["labels"]["pillion.dev/inject"] == "true"
    assert metadata["labels"]["pillion.dev/revision"] == "canary"
    said = {key.removeprefix("pillion.dev/"): value for key, value in metadata["annotations"].items()}
    assert said["service"] == "orders"
    assert said["port"] == "8000"
    assert said["versions"] == "v1,v2.1"
    assert said["routes"] == "/api/{version}/orders,/orders"
    assert said["health-path"] == "/healthz"
    assert said["meta-team"] == "shop"
    assert said["cpu-limit"] == "1"
    assert said["outbox-database-secret"] == "outbox"
    assert said["config"] == "orders-pillion"


def test_a_service_that_stays_out_of_the_mesh_says_so_and_is_reached_directly(helm: Helm) -> None:
    rendered = helm.render("service", {"pillion": {"inject": False}})
    assert one(rendered, "Service")["spec"]["ports"][0]["targetPort"] == 8000
    metadata = one(rendered, "Deployment")["spec"]["template"]["metadata"]
    assert metadata["labels"]["pillion.dev/inject"] == "false"
    assert not [key for key in metadata["annotations"] if key.startswith("pillion.dev/")]


def test_the_service_points_to_the_sidecars_inbound_and_not_past_it(helm: Helm) -> None:
    assert one(helm.render("service"), "Service")["spec"]["ports"][0]["targetPort"] == 15006


def test_several_releases_can_be_instances_of_one_service(helm: Helm) -> None:
    values = {"pillion": {"service": "orders", "versions": ["v2"]}}
    rendered = helm.render("service", values, release="orders-v2")
    annotations = one(rendered, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["pillion.dev/service"] == "orders"
    assert one(rendered, "Service")["metadata"]["name"] == "orders-v2"


def test_the_file_of_settings_is_one_that_pillion_takes_and_its_change_makes_new_pods(
    helm: Helm, tmp_path: Path
) -> None:
    def mark(sample: float) -> str:
        values = {"pillion": {"config": {"tracing": {"sample": sample}}}}
        rendered = helm.render("service", values)
        written = one(rendered, "ConfigMap", "orders-pillion")["data"]["pillion.yaml"]
        assert settled(written, tmp_path).tracing.sample == sample
        annotations = one(rendered, "Deployment")["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["pillion.dev/settings"])

    assert mark(1) != mark(0.5)


def test_the_outbox_is_prepared_after_the_migration_with_settings_that_pillion_takes(
    helm: Helm, tmp_path: Path
) -> None:
    values = {
        "migration": {"enabled": True, "command": ["flask", "init-db"]},
        "pillion": {"outbox": {**OUTBOX, "installSecret": "install"}},
    }
    rendered = helm.render("service", values)
    written = one(rendered, "ConfigMap", "orders-outbox")["data"]["pillion.yaml"]
    settings = settled(written, tmp_path, ["/run/secrets/pillion/url"])
    assert [change.table for change in settings.outbox.changes] == ["orders"]
    weights = {
        name: int(one(rendered, "Job", name)["metadata"]["annotations"]["helm.sh/hook-weight"])
        for name in ("orders-migrate", "orders-outbox")
    }
    assert weights["orders-migrate"] < weights["orders-outbox"]


def test_the_migration_has_the_environment_of_the_service_from_earlier_hooks(helm: Helm) -> None:
    rendered = helm.render("service", switches.FULL["service"])
    (job,) = one(rendered, "Job", "orders-migrate")["spec"]["template"]["spec"]["containers"]
    (service,) = one(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert job["env"] == service["env"]
    copies = [source for source in job["envFrom"] if source not in service["envFrom"]]
    assert copies == [{"configMapRef": {"name": "orders-migrate"}}, {"secretRef": {"name": "orders-migrate"}}]
    for kind, held in (("ConfigMap", "data"), ("Secret", "stringData")):
        copy, own = one(rendered, kind, "orders-migrate"), one(rendered, kind, "orders")
        assert copy[held] == own[held]
        assert "pre-install" in copy["metadata"]["annotations"]["helm.sh/hook"]


def test_a_changed_value_makes_new_pods_and_a_generated_one_does_not(helm: Helm) -> None:
    def mark(**values: Any) -> str:
        return str(_template(helm, values)["metadata"]["annotations"]["checksum/config"])

    assert mark() == mark(secret={"generate": ["SECRET_KEY"]})
    assert (
        len({mark(), mark(config={"A": "1"}), mark(config={"A": "2"}), mark(secret={"data": {"A": "1"}})})
        == 4
    )


def test_autoscaling_looks_at_the_services_container_and_leaves_the_number_of_pods_alone(helm: Helm) -> None:
    rendered = helm.render("service", {"autoscaling": {"enabled": True}})
    assert "replicas" not in one(rendered, "Deployment")["spec"]
    (metric,) = one(rendered, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["containerResource"]["container"] == "service"


def test_a_volume_of_one_node_is_never_wanted_by_two_pods_and_outlives_the_release(helm: Helm) -> None:
    rendered = helm.render("service", {"persistence": {"enabled": True}, "replicas": 1})
    assert one(rendered, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    claim = one(rendered, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    mounts = one(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "data", "mountPath": "/data"} in mounts
    shared = helm.render("service", {"persistence": {"enabled": True, "accessMode": "ReadWriteMany"}})
    assert one(shared, "Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"


def test_what_the_user_says_of_home_port_and_probes_stands_alone(helm: Helm) -> None:
    own = {"exec": {"command": ["true"]}}
    given = {
        "env": [{"name": "PORT", "value": "1"}, {"name": "HOME", "value": "/x"}],
        "probes": {"liveness": own},
    }
    container = _container(helm, given)
    assert container["env"] == given["env"]
    assert container["livenessProbe"] == own


def test_the_native_sleep_is_left_out_where_kubernetes_does_not_know_it(helm: Helm) -> None:
    assert "lifecycle" in _container(helm, kube="1.32")
    assert "lifecycle" not in _container(helm, kube="1.29")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"port": 99999}, "port"),
        ({"name": "Not_A_Label"}, "name"),
        ({"replcas": 3}, "replcas"),
        ({"image": {"repository": ""}}, "image.repository"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"pillion": {"versions": ["2.x"]}}, "versions"),
        ({"pillion": {"outbox": {"databaseSecret": "db"}}}, "pillion.outbox.config"),
        ({"pillion": {"outbox": {"config": OUTBOX["config"]}}}, "pillion.outbox.databaseSecret"),
        ({"migration": {"enabled": True}}, "migration.command"),
        ({"persistence": {"enabled": True}}, "persistence.accessMode"),
        ({"autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 3}}, "autoscaling.minReplicas"),
        ({"resources": {"request": {}}}, "request"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, wrong: dict[str, Any], named: str) -> None:
    values = merged(NEEDED["service"], wrong)
    done = helm.run("template", "orders", str(CHARTS / "service"), "--kube-version", "1.32", values=values)
    assert done.returncode != 0
    assert named in done.stderr
