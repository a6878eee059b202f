"""The three charts are installed by helm and work."""

import json
from typing import Any

import pytest
import yaml

from tests.kubernetes.install import INFRA, NAMESPACES, PILLION, RELEASES, SERVERS, SHOP, SYSTEM
from tests.kubernetes.kube import container, containers, ready
from tests.kubernetes.world import World

ALL = (
    (INFRA, "infrastructure", SERVERS),
    (PILLION, "pillion", SYSTEM),
    *((one, "service", SHOP) for one in RELEASES),
)
"""Release, chart, namespace."""


def test_every_pod_of_the_charts_is_ready_and_none_had_to_start_again(world: World) -> None:
    world.record.table("Pods after the installation", ["pod", "containers", "restarts"])
    wrong = []
    for namespace in NAMESPACES:
        for pod in world.kube.every("pods", namespace):
            name, status = pod["metadata"]["name"], pod["status"]
            states = [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]
            restarts = sum(one["restartCount"] for one in states)
            world.record.row([name, ", ".join(one["name"] for one in states), restarts])
            well = ready(pod) or status["phase"] == "Succeeded"
            if not well or (restarts and namespace == SHOP):
                wrong.append(f"{namespace}/{name}: {json.dumps(status['conditions'])[:400]}")
    assert wrong == []


@pytest.mark.parametrize(("release", "chart", "namespace"), ALL, ids=[one[0] for one in ALL])
def test_helm_test_of_a_release_passes(world: World, release: str, chart: str, namespace: str) -> None:
    assert "Phase:          Succeeded" in world.helm.test(release, namespace)


def test_the_api_server_takes_every_manifest_of_the_charts(world: World) -> None:
    values = {
        INFRA: {**world.images.infrastructure(), "networkPolicy": {"enabled": True}},
        PILLION: world.images.pillion(
            networkPolicy={"enabled": True}, gateway={"autoscaling": {"enabled": True}}
        ),
        **{name: world.images.service(name, networkPolicy={"enabled": True}) for name in RELEASES},
    }
    version = world.kube.json("version")["serverVersion"]["gitVersion"]
    count = 0
    for release, chart, namespace in ALL:
        text = world.helm.template(
            release, chart, namespace, values[release], "--no-hooks", f"--kube-version={version}"
        )
        said = world.kube(
            "apply", "--dry-run=server", "--namespace", namespace, "--filename=-", given=text, both=True
        )
        # What helm made lacks the annotation by which `kubectl apply` knows what it wrote before.
        lines = [line for line in said.strip().splitlines() if "last-applied-configuration" not in line]
        assert [line for line in lines if "(server dry run)" not in line] == []
        assert len(lines) == len([one for one in yaml.safe_load_all(text) if one])
        count += len(lines)
    world.record.section("Manifests", [f"`kubectl apply --dry-run=server` takes all {count}"])


def test_the_services_pods_hold_their_own_image_and_one_sidecar_in_a_restricted_namespace(
    world: World,
) -> None:
    labels = world.kube.get("namespace", SHOP)["metadata"]["labels"]  # type: ignore[index]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name in RELEASES:
        pods = world.kube.pods(SHOP, f"app.kubernetes.io/name={name}")
        assert pods
        for pod in pods:
            assert [one["name"] for one in containers(pod["spec"])] == ["pillion", "service"]
            assert container(pod, "service")["image"] == world.images.full(f"shop-{name.partition('-')[0]}")
            assert container(pod, "pillion")["image"] == world.images.full("pillion")
            assert container(pod, "pillion")["restartPolicy"] == "Always"


def test_no_generated_secret_shows_in_a_release_or_a_pod(world: World) -> None:
    values = {
        value
        for namespace in (SERVERS, SHOP)
        for secret in world.kube.every("secrets", namespace)
        if secret["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "pillion-secrets"
        for value in world.secret(namespace, secret["metadata"]["name"]).values()
    }
    assert len(values) > 5
    texts: dict[str, Any] = {
        f"{kind} of {namespace}": json.dumps(world.kube.every(kind, namespace))
        for namespace in (SERVERS, SHOP)
        for kind in ("pods", "configmaps", "deployments", "statefulsets", "cronjobs", "jobs", "events")
    }
    for release, _, namespace in ALL:
        texts[f"release {release}"] = world.helm("get", "all", release, f"--namespace={namespace}")
    assert [where for where, text in texts.items() if any(value in text for value in values)] == []
