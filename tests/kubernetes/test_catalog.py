"""`registry.mode: catalog`: no clients, straight to any server, and the injector's sweep removes what died."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.kubernetes.install import INFRA, PILLION, RELEASES, SERVERS, SERVICES, SHOP, SYSTEM
from tests.kubernetes.kube import until
from tests.kubernetes.load import load
from tests.kubernetes.world import World

INVENTORY = "app.kubernetes.io/name=inventory"
ADDRESS = f"http://{INFRA}-consul.{SERVERS}.svc:8500"
INJECTORS = "app.kubernetes.io/name=injector"
GONE = 120.0


@pytest.fixture(scope="module", autouse=True)
def catalog(world: World) -> Iterator[None]:
    """All services in catalogue mode, and back in agent mode afterwards."""
    consul = {"mode": "catalog", "address": ADDRESS}
    world.helm.install(PILLION, "pillion", SYSTEM, world.images.pillion(consul=consul, clusterName="tried"))
    _anew(world)
    yield
    world.helm.install(PILLION, "pillion", SYSTEM, world.images.pillion())
    _anew(world)


def _anew(world: World) -> None:
    # One of the former settings answers reviews until the last moment of its life.
    until("the former injectors are gone", lambda: len(world.kube.every("pods", SYSTEM, INJECTORS)) == 2, 90)
    world.kube("rollout", "restart", f"--namespace={SHOP}", *(f"deployment/{one}" for one in RELEASES))
    for one in RELEASES:
        world.kube.rolled_out(SHOP, f"deployment/{one}")
    for service, count in SERVICES.items():
        world.has(service, count)


def test_services_are_registered_on_a_virtual_node_and_reach_each_other(world: World) -> None:
    # Pods of the former mode may still be saying good-bye.
    until("all are on virtual nodes", lambda: _nodes(world) == {"pillion-tried-"}, 60)
    until("the shop answers", lambda: world.send(f"{world.gateway}/shop").status == 200, 30)
    for service in SERVICES:
        assert world.ghosts(service, SHOP) == []


def _nodes(world: World) -> set[str]:
    """The names of the nodes that the instances are on, without what follows the cluster's."""
    names = (entry["Node"]["Node"] for entry in world.instances("inventory"))
    return {"-".join(name.split("-")[:2]) + "-" for name in names}


def test_an_orderly_end_is_out_of_the_catalogue_at_once(world: World) -> None:
    victim = world.kube.pods(SHOP, INVENTORY)[0]["metadata"]
    world.kube.delete("pod", victim["name"], SHOP)
    assert victim["uid"] not in json.dumps(world.instances("inventory"))
    world.has("inventory", 2)


def test_the_sweep_removes_what_a_pod_ended_by_force_left(world: World) -> None:
    victim = world.kube.pods(SHOP, INVENTORY)[0]["metadata"]
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 50, mesh=True
    ) as sent:
        began = time.monotonic()
        # One second for everything: killed in the midst of its good-bye.
        world.kube.delete("pod", victim["name"], SHOP, "--grace-period=1")
        until(
            "nothing is left of it",
            lambda: victim["uid"] not in json.dumps(world.instances("inventory")),
            GONE,
        )
        gone = time.monotonic() - began
        world.has("inventory", 2)
    world.record.section(
        "Catalogue mode: a pod killed in its good-bye", [f"out of Consul after {gone:.1f} s", str(sent)]
    )
    assert sum(sent.failed.values()) <= sent.sent * 0.02, sent.failed


def test_a_server_killed_leaves_the_mesh_working(world: World) -> None:
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 50, mesh=True
    ) as sent:
        world.kube.delete("pod", f"{INFRA}-consul-server-0", SERVERS, "--force", "--grace-period=0")
        world.kube.rolled_out(SERVERS, f"statefulset/{INFRA}-consul-server")
        world.has("inventory", 2)
    assert sent.failed == {}
    world.record.section("Catalogue mode: the server killed", [str(sent)])
