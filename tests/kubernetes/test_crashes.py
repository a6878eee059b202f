"""What dies without a good-bye: an agent, a pod, Consul's client of the node, Consul's server."""

import json
import time

import pytest

from tests.kubernetes.install import INFRA, SERVERS, SHOP
from tests.kubernetes.kube import status, until
from tests.kubernetes.load import load
from tests.kubernetes.world import World

INVENTORY = "app.kubernetes.io/name=inventory"
GHOST = 120.0
"""Seconds within which nothing may be left of a pod that ended without a good-bye."""
KILL = """
import os, signal
def line(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read()
    except OSError:
        return ""
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) not in (1, os.getpid()) and "--supervisor-fd" in line(pid):
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
"""


def test_an_agent_killed_in_its_sidecar_disturbs_no_request(world: World) -> None:
    world.has("inventory", 2)
    pod = world.kube.pods(SHOP, INVENTORY)[0]
    name = pod["metadata"]["name"]
    before = status(pod, "pillion")
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 100, mesh=True
    ) as sent:
        killed = world.kube.execute(SHOP, name, "pillion", "python", "-c", KILL)
        assert len(killed.split()) == 1, killed
        ready = ("pillion", "wait", "--timeout", "30")
        until("another agent works", lambda: world.kube.execute(SHOP, name, "pillion", *ready) == "", 40)
        time.sleep(3)  # requests to the instance of the new agent
    now = world.kube.get("pod", name, SHOP)
    assert now is not None
    assert sent.failed == {}
    assert name in sent.served_by
    assert status(now, "pillion")["containerID"] == before["containerID"], "the container did not end"
    world.has("inventory", 2)
    world.record.section("Agent killed in a sidecar", [str(sent)])


@pytest.mark.parametrize("how", ["force", "kill"])
def test_a_pod_that_ended_without_a_good_bye_is_gone_from_consul_in_time(world: World, how: str) -> None:
    world.has("inventory", 2)
    victim = world.kube.pods(SHOP, INVENTORY)[0]["metadata"]
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 50, mesh=True
    ) as sent:
        began = time.monotonic()
        if how == "force":
            world.kube.delete("pod", victim["name"], SHOP, "--force", "--grace-period=0")
        else:
            # One second for everything: the kubelet kills the sidecar in the midst of its good-bye.
            world.kube.delete("pod", victim["name"], SHOP, "--grace-period=1")
        until("nothing passes of it", lambda: victim["uid"] not in json.dumps(world.passing("inventory")), 60)
        silent = time.monotonic() - began
        until(
            "nothing is left of it",
            lambda: victim["uid"] not in json.dumps(world.instances("inventory")),
            GHOST,
        )
        gone = time.monotonic() - began
        world.has("inventory", 2)
    lost = sum(sent.failed.values())
    world.record.section(
        f"Pod ended by {'force' if how == 'force' else 'a grace period of 1 s'}",
        [f"not passing after {silent:.1f} s, out of Consul after {gone:.1f} s", str(sent)],
    )
    assert lost <= sent.sent * 0.02, sent.failed


def test_consuls_server_killed_leaves_the_mesh_working_and_nobody_behind(world: World) -> None:
    world.has("inventory", 2)
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 50, mesh=True
    ) as sent:
        began = time.monotonic()
        world.kube.delete("pod", f"{INFRA}-consul-server-0", SERVERS, "--force", "--grace-period=0")
        world.kube.rolled_out(SERVERS, f"statefulset/{INFRA}-consul-server")
        world.has("inventory", 2)
        took = time.monotonic() - began
    assert sent.failed == {}
    for service in ("inventory", "orders", "storefront"):
        assert world.ghosts(service, SHOP) == []
    world.record.section("Consul's only server killed", [f"all pass again after {took:.1f} s", str(sent)])


def test_the_nodes_client_started_again_gets_all_registrations_back(world: World) -> None:
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 50, mesh=True
    ) as sent:
        began = time.monotonic()
        world.kube("rollout", "restart", f"--namespace={SERVERS}", f"daemonset/{INFRA}-consul-client")
        world.kube.rolled_out(SERVERS, f"daemonset/{INFRA}-consul-client")
        restarted = time.monotonic() - began
        world.has("inventory", 2)
        took = time.monotonic() - began
    assert sent.failed == {}, "it takes its instances along, but those live"
    for service in ("inventory", "orders", "storefront"):
        assert world.ghosts(service, SHOP) == []
    world.record.section(
        "Consul's client of the node started again",
        [f"client back after {restarted:.1f} s, all pass again after {took:.1f} s", str(sent)],
    )


def test_a_pod_that_ends_while_the_nodes_client_is_dead_leaves_nothing(world: World) -> None:
    world.has("inventory", 2)
    client = world.kube.pods(SERVERS, "app.kubernetes.io/name=consul-client")[0]["metadata"]["name"]
    victim = world.kube.pods(SHOP, INVENTORY)[0]["metadata"]
    began = time.monotonic()
    world.kube.delete("pod", client, SERVERS, "--force", "--grace-period=0")
    world.kube.delete("pod", victim["name"], SHOP, "--wait=false")
    until(
        "nothing is left of it", lambda: victim["uid"] not in json.dumps(world.instances("inventory")), GHOST
    )
    gone = time.monotonic() - began
    world.has("inventory", 2)
    world.record.section("Client and pod ended together", [f"out of Consul after {gone:.1f} s"])
