"""What `helm template charts/service` makes of its values."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.demo import components

CHART = Path(__file__).parents[3] / "charts" / "service"
IMAGE = ("--set", "image.repository=registry.example.com/orders")


@pytest.fixture(scope="module")
def helm() -> str:
    """Helm's binary; without one the tests are skipped, or fail where everything is required."""
    found = components.find("helm")
    if found is None:
        reason = "Helm was not obtained: run `make obtain`"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    return str(found)


def run(helm: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """A Helm command on the chart."""
    return subprocess.run([helm, *argv], capture_output=True, text=True, timeout=60, check=False)


def render(helm: str, *values: str, kube: str = "1.32") -> dict[str, Any]:
    """The rendered objects by kind."""
    done = run(helm, "template", "orders", str(CHART), "--kube-version", kube, *IMAGE, *values)
    assert done.returncode == 0, done.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout) if document}


def test_the_chart_passes_helms_own_lint(helm: str) -> None:
    done = run(helm, "lint", "--strict", str(CHART), *IMAGE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_service_points_to_the_sidecars_inbound_and_not_past_it(helm: str) -> None:
    assert render(helm)["Service"]["spec"]["ports"][0]["targetPort"] == 15006


def test_the_sidecar_is_a_native_one_that_pod_security_restricted_admits(helm: str) -> None:
    (sidecar,) = render(helm)["Deployment"]["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    context = sidecar["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_application_sends_through_its_sidecar_but_reaches_the_cluster_itself_directly(helm: str) -> None:
    (service,) = render(helm)["Deployment"]["spec"]["template"]["spec"]["containers"]
    environ = {entry["name"]: entry.get("value") for entry in service["env"]}
    assert environ["HTTP_PROXY"] == environ["http_proxy"] == "http://127.0.0.1:15001"
    assert environ["NO_PROXY"] == environ["no_proxy"]
    assert ".svc," not in environ["NO_PROXY"].replace("default.svc", "")
    assert "169.254.169.254" in environ["NO_PROXY"]


def test_the_settings_that_the_chart_writes_are_settings_that_pillion_takes(
    helm: str, tmp_path: Path
) -> None:
    values = (
        *(
            "--set",
            "outbox.databaseSecret=db",
            "--set",
            "outbox.brokerSecret=nats",
            "--set",
            "consul.tokenSecret=acl",
        ),
        *("--set-json", 'outbox.changes=[{"table":"orders"}]', "--set-json", 'versions=["v1","v2.1"]'),
        *(
            "--set-json",
            'routes=["/orders"]',
            "--set",
            "tracing.endpoint=http://jaeger:4318",
            "--set",
            "tracing.sample=1",
        ),
        *("--set", "pillion.service.zone=a", "--set", "consul.address=http://consul:8500"),
    )
    written = render(helm, *values)["ConfigMap"]["data"]["pillion.yaml"]
    for name in ("database", "broker", "consul"):
        written = written.replace(f"/etc/pillion/{name}", str(tmp_path))
    (tmp_path / "url").write_text("postgresql://orders@db/orders")
    (tmp_path / "token").write_text("b0d2a1c4-0000-4000-8000-000000000000")
    (tmp_path / "pillion.yaml").write_text(written)
    settings = yaml.safe_load(written)
    own = {"name": "orders", "port": 8000, "health_path": "/healthz"}
    assert settings["service"] == own | {"routes": ["/orders"], "zone": "a"}
    check = ["-m", "agent", "config", "check", str(tmp_path / "pillion.yaml")]
    done = subprocess.run(
        [sys.executable, *check], capture_output=True, text=True, cwd=CHART.parents[1], check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_setting_makes_new_pods(helm: str) -> None:
    def mark(*values: str) -> str:
        rendered = render(helm, *values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return str(rendered["pillion.dev/settings"])

    assert mark() == mark()
    assert mark() != mark("--set", "tracing.endpoint=http://jaeger:4318")


def test_autoscaling_looks_at_the_services_container_and_leaves_the_number_of_pods_alone(helm: str) -> None:
    rendered = render(helm, "--set", "autoscaling.enabled=true")
    assert "replicas" not in rendered["Deployment"]["spec"]
    (metric,) = rendered["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["containerResource"]["container"] == "service"
    assert "HorizontalPodAutoscaler" not in render(helm)


def test_the_native_sleep_is_left_out_where_kubernetes_does_not_know_it(helm: str) -> None:
    def hooks(kube: str) -> bool:
        (service,) = render(helm, kube=kube)["Deployment"]["spec"]["template"]["spec"]["containers"]
        return "lifecycle" in service

    assert hooks("1.32")
    assert not hooks("1.29")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--set", "port=99999"), "port"),
        (("--set", "tracing.sample=2"), "sample"),
        (("--set", "name=Not_A_Label"), "name"),
        (("--set", "replcas=3"), "replcas"),
        (("--set", "image.repository="), "image.repository"),
        (("--set", "outbox.databaseSecret=db"), "outbox.brokerSecret"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: str, wrong: tuple[str, ...], named: str) -> None:
    done = run(helm, "template", "orders", str(CHART), "--kube-version", "1.32", *IMAGE, *wrong)
    assert done.returncode != 0
    assert named in done.stderr
