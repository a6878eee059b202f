"""Which pods are admitted and how: restricted namespaces, wrong annotations, dry runs, pods that are left alone."""

import json
import uuid
from typing import Any

import pytest

from tests.commands import CommandError
from tests.kubernetes import pods
from tests.kubernetes.install import RESTRICTED, SHOP, SYSTEM, namespace
from tests.kubernetes.kube import containers, until
from tests.kubernetes.world import World

SLEEP = ["sleep", "3600"]


def _pod(world: World, name: str, space: str, labels: dict[str, str], **annotations: str) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8000}]
    body = pods.spec(world.images.full("pillion"), SLEEP, ports=ports)
    return pods.pod(pods.metadata(name, space, labels=labels, **annotations), body)


def _names(pod: dict[str, Any]) -> list[str]:
    return [one["name"] for one in containers(pod["spec"])]


def test_a_dry_run_is_injected_and_leaves_nothing(world: World) -> None:
    (made,) = world.kube.apply(_pod(world, "dry", SHOP, {"app": "dry"}), dry_run=True)
    assert _names(made) == ["pillion", "main"]
    assert world.kube.get("pod", "dry", SHOP) is None


@pytest.mark.parametrize("level", ["restricted", "baseline"])
def test_a_namespace_that_enforces_pod_security_admits_an_injected_pod(world: World, level: str) -> None:
    name = f"pillion-test-{level}"
    labels = {**RESTRICTED, "pod-security.kubernetes.io/enforce": level, "pillion.dev/inject": "enabled"}
    world.kube.apply(namespace(name, labels))
    try:
        (made,) = world.kube.apply(_pod(world, "one", name, {"app": "one"}), dry_run=True)
        assert _names(made) == ["pillion", "main"]
    finally:
        world.kube.delete("namespace", name, "", "--wait=false")


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"port": "eighty"}, "pillion.dev/port"),
        ({"memory_limit": "lots"}, "pillion.dev/memory-limit"),
        ({"outbox_config": "{changes: 7}"}, "outbox"),
    ],
    ids=["value", "quantity", "nested"],
)
def test_a_wrong_annotation_refuses_the_pod_and_is_named(
    world: World, annotations: dict[str, str], says: str
) -> None:
    with pytest.raises(CommandError) as refused:
        world.kube.apply(_pod(world, "wrong", SHOP, {"app": "wrong"}, **annotations), dry_run=True)
    assert "Pillion can't inject this pod" in str(refused.value)
    assert says in str(refused.value)


def test_an_annotation_that_means_nothing_is_warned_of(world: World) -> None:
    pod = json.dumps(_pod(world, "odd", SHOP, {"app": "odd"}, prot="8000"))
    said = world.kube("apply", "--dry-run=server", "--filename=-", given=pod, both=True)
    assert "Warning:" in said
    assert "pillion.dev/prot" in said


def test_a_deployment_with_a_wrong_annotation_says_so_in_an_event(world: World) -> None:
    name = f"wrong-{uuid.uuid4().hex[:6]}"
    meta = pods.metadata(name, SHOP, port="eighty")
    world.kube.apply(pods.deployment(meta, pods.spec(world.images.full("pillion"), SLEEP)))
    try:

        def told() -> bool:
            events = world.kube.every("events", SHOP)
            return any(
                one["reason"] == "FailedCreate"
                and one["involvedObject"]["name"].startswith(name)
                and "pillion.dev/port" in one["message"]
                for one in events
            )

        until("an event names the annotation", told, 30)
        assert world.kube.every("pods", SHOP, f"app={name}") == []
    finally:
        world.kube.delete("deployment", name, SHOP)


@pytest.mark.parametrize(
    ("space", "labels"),
    [
        ("default", {}),
        ("kube-system", {"pillion.dev/inject": "true"}),
        (SYSTEM, {"pillion.dev/inject": "true"}),
        (SHOP, {"pillion.dev/inject": "false"}),
    ],
    ids=["another-namespace", "kube-system", "its-own-namespace", "declined"],
)
def test_a_pod_that_is_not_to_be_injected_stays_as_it_is(
    world: World, space: str, labels: dict[str, str]
) -> None:
    (made,) = world.kube.apply(_pod(world, f"plain-{uuid.uuid4().hex[:6]}", space, labels), dry_run=True)
    assert _names(made) == ["main"]
