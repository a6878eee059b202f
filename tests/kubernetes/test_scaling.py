"""More and fewer pods: to none and back, and by a HorizontalPodAutoscaler on real metrics."""

import os
import time

import pytest

from tests.commands import CommandError
from tests.kubernetes.install import SHOP
from tests.kubernetes.kube import until
from tests.kubernetes.load import load
from tests.kubernetes.world import World

IDLE_CPU = 20
"""Percent of the request above which there are more pods."""


def test_scaling_to_zero_and_up_leaves_no_ghost(world: World) -> None:
    world.has("inventory", 2)
    world.kube("scale", f"--namespace={SHOP}", "deployment/inventory", "--replicas=0")
    until(
        "the pods are gone",
        lambda: not world.kube.every("pods", SHOP, "app.kubernetes.io/name=inventory"),
        90,
    )
    assert world.instances("inventory") == [], "each left Consul before its pod was gone"
    began = time.monotonic()
    world.kube("scale", f"--namespace={SHOP}", "deployment/inventory", "--replicas=2")
    world.has("inventory", 2)
    up = time.monotonic() - began
    until("the shop answers", lambda: world.send(f"{world.gateway}/shop").status == 200, 30)
    assert world.ghosts("inventory", SHOP) == []
    world.record.section("From none to two pods", [f"registered and passing after {up:.1f} s"])


def test_an_autoscaler_adds_pods_under_load_and_they_are_called(world: World) -> None:
    try:
        world.kube("get", "--raw=/apis/metrics.k8s.io/v1beta1/nodes")
    except CommandError:
        if os.environ.get("PILLION_REQUIRE_ALL"):
            raise
        pytest.skip("the cluster has no metrics-server, by which an autoscaler decides")
    autoscaling = {"enabled": True, "minReplicas": 1, "maxReplicas": 3, "targetCPU": IDLE_CPU}
    values = world.images.service("inventory", autoscaling=autoscaling)
    world.helm.install("inventory", "service", SHOP, values)
    try:
        image = world.images.full("pillion")
        began = time.monotonic()
        with load(world.kube, image, SHOP, "http://inventory/stock", 100, most=300, mesh=True) as sent:
            until("three pods", lambda: _wanted(world) == 3, 240, every=3)
            decided = time.monotonic() - began
            found = world.has("inventory", 3)
            time.sleep(3)  # requests to the new ones
        assert sent.failed == {}
        assert len(sent.served_by) == len(found) == 3
        world.record.section("Autoscaler", [f"three pods wanted after {decided:.0f} s of load", str(sent)])
    finally:
        world.helm.install("inventory", "service", SHOP, world.images.service("inventory"))
        world.has("inventory", 2)


def _wanted(world: World) -> int:
    deployment = world.kube.get("deployment", "inventory", SHOP)
    assert deployment is not None
    return int(deployment["spec"]["replicas"])
