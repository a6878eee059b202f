"""`pillion inject` makes of a manifest what the webhook makes of its pods."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import run
from tests.kubernetes import pods
from tests.kubernetes.install import PILLION, RELEASES, SHOP, SYSTEM
from tests.kubernetes.world import World

CASES = {
    "by-namespace": pods.metadata("case", SHOP, labels={"app": "case"}),
    "annotated": pods.metadata(
        "case", SHOP, labels={"pillion.dev/inject": "true"}, service="orders", versions="v1,v2",
        routes="/a,/b", upstreams='{"inventory": {"port": 18080}}', meta_team="shop", cpu_limit="500m",
    ),
    "caller": pods.metadata("case", SHOP, labels={"pillion.dev/inject": "true", "app": "case"}),
    "declined": pods.metadata("case", SHOP, labels={"pillion.dev/inject": "false", "app": "case"}),
}  # fmt: skip


def _inject(world: World, folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    """What the command prints for the document, with the injector's own settings and the namespace's manifest."""
    settings = world.kube.get("configmap", f"{PILLION}-injector", SYSTEM)
    space = world.kube.get("namespace", SHOP)
    assert settings is not None
    (folder / "pillion.yaml").write_text(settings["data"]["pillion.yaml"])
    (folder / "namespace.yaml").write_text(json.dumps(space))
    (folder / "manifest.yaml").write_text(yaml.safe_dump(document))
    pillion = str(Path(sys.executable).with_name("pillion"))
    said = run(
        pillion, "inject", "--config", str(folder / "pillion.yaml"), "--namespace-manifest",
        str(folder / "namespace.yaml"), str(folder / "manifest.yaml"),
    )  # fmt: skip
    return dict(yaml.safe_load(said))


def _admitted(world: World, pod: dict[str, Any]) -> dict[str, Any]:
    """Labels, annotations and spec of the pod as the API server would store it."""
    (made,) = world.kube.apply(pod, dry_run=True)
    notes = made["metadata"].get("annotations", {})
    notes.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return {"labels": made["metadata"].get("labels"), "annotations": notes, "spec": made["spec"]}


@pytest.mark.parametrize("case", CASES)
def test_a_pod_injected_offline_is_the_one_that_the_webhook_makes(
    world: World, tmp_path: Path, case: str
) -> None:
    ports = [] if case == "caller" else [{"name": "http", "containerPort": 8000}]
    pod = pods.pod(CASES[case], pods.spec(world.images.full("pillion"), ["sleep", "60"], ports=ports))
    by_webhook = _admitted(world, pod)
    offline = _inject(world, tmp_path, pod)
    assert (offline == pod) is (case == "declined")
    assert _admitted(world, offline) == by_webhook


@pytest.mark.parametrize("release", RELEASES)
def test_a_charts_deployment_injected_offline_has_the_running_pods_sidecar(
    world: World, tmp_path: Path, release: str
) -> None:
    deployment = world.kube.get("deployment", release, SHOP)
    assert deployment is not None
    template = _inject(world, tmp_path, deployment)["spec"]["template"]
    pod = pods.pod({**template["metadata"], "name": "case", "namespace": SHOP}, template["spec"])
    pod["spec"]["restartPolicy"] = "Always"
    plain = deployment["spec"]["template"]
    other = pods.pod({**plain["metadata"], "name": "case", "namespace": SHOP}, plain["spec"])
    other["spec"]["restartPolicy"] = "Always"
    assert _admitted(world, pod) == _admitted(world, other)
