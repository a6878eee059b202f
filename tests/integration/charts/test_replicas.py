"""The number of pods of a Deployment when an autoscaler takes over: without a cluster it is told what runs."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.charts.rendering import CHARTS, Helm

LOOK = """{{- include "common.replicas" (dict "autoscaled" .Values.autoscaled "replicas" 2 "live" .Values.live) }}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart that has the helper and nothing else; what runs is one of its values."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: x, version: 0.0.1}")
    shared = CHARTS / "infrastructure" / "templates" / "_common.tpl"
    (tmp_path / "templates" / "_common.tpl").write_text(shared.read_text())
    (tmp_path / "templates" / "x.yaml").write_text(LOOK)
    return tmp_path


@pytest.mark.parametrize(
    ("autoscaled", "live", "wanted"),
    [
        (False, {}, {"replicas": 2}),
        (False, {"spec": {"replicas": 7}}, {"replicas": 2}),
        (True, {"spec": {"replicas": 7}}, {"replicas": 7}),
        (True, {"spec": {"replicas": 0}}, {"replicas": 0}),
        (True, {}, None),
    ],
)
def test_an_autoscaler_takes_over_the_number_of_pods_that_run(
    helm: Helm, chart: Path, autoscaled: bool, live: dict[str, Any], wanted: object
) -> None:
    """Were the field left out of an upgrade that had it before, Kubernetes would make it 1.

    Source: Kubernetes' documentation, "Migrating Deployments and StatefulSets to horizontal autoscaling".
    """
    done = helm.run("template", "x", str(chart), values={"autoscaled": autoscaled, "live": live})
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout) == wanted, json.dumps(live)


@pytest.mark.parametrize(
    ("template", "name"),
    [("service/templates/deployment.yaml", "$name"), ("pillion/templates/gateway.yaml", "$name")],
)
def test_what_runs_is_looked_for_by_the_name_of_the_deployment(template: str, name: str) -> None:
    text = (CHARTS / template).read_text()
    assert f'(lookup "apps/v1" "Deployment" $.Release.Namespace {name})' in text
    _, _, deployment = text.partition("kind: Deployment\n")
    assert deployment.startswith(f"metadata:\n  name: {{{{ {name} }}}}\n")
