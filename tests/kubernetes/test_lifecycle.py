"""How a pod of the mesh starts and ends: no request before it is ready, none lost when it goes, no ghost in Consul."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands import CommandError
from tests.kubernetes import pods
from tests.kubernetes.install import PILLION, SERVICES, SHOP, SYSTEM
from tests.kubernetes.kube import Kube, container, ready, status, until, when
from tests.kubernetes.load import load
from tests.kubernetes.world import World

STEPS = Path(__file__).parent / "inside" / "steps.py"
SLOW = 6.0
"""Seconds until the application listens."""
GATEWAY = f"http://{PILLION}-gateway.{SYSTEM}.svc"


@contextmanager
def steps(world: World, replicas: int = 1, grace: int = 45, slow: float = 0.0) -> Iterator[str]:
    """A service of its own, whose pods say when they did what."""
    name = f"steps-{uuid.uuid4().hex[:6]}"
    body = pods.spec(
        world.images.full("pillion"), ["python", "-B", "/scripts/steps.py", "8000", str(slow)], scripts=name,
        ports=[{"name": "http", "containerPort": 8000}],
        readinessProbe={"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    )  # fmt: skip
    body["terminationGracePeriodSeconds"] = grace
    world.kube.apply(
        pods.config_map(name, SHOP, {"steps.py": STEPS.read_text()}),
        pods.deployment(pods.metadata(name, SHOP, health_path="/healthz"), body, replicas),
    )
    try:
        yield name
    finally:
        world.kube.delete("deployment", name, SHOP)
        world.kube.delete("configmap", name, SHOP)


def _one(kube: Kube, name: str) -> dict[str, Any]:
    (pod,) = until("it has a pod", lambda: kube.pods(SHOP, f"app={name}"), 30)
    return pod


def _times(kube: Kube, pod: str) -> dict[str, list[float]]:
    """When the application did what."""
    found: dict[str, list[float]] = {}
    for line in kube("logs", f"--namespace={SHOP}", pod, "--container=main").splitlines():
        one = json.loads(line)
        found.setdefault(one["what"], []).append(one["at"])
    return found


def test_the_application_starts_after_envoy_and_gets_no_request_before_it_listens(world: World) -> None:
    with steps(world, slow=SLOW) as name:
        with load(world.kube, world.images.full("pillion"), SYSTEM, f"{GATEWAY}/{name}/", 20) as sent:
            world.has(name, 1)
            time.sleep(3)  # some requests
            pod = _one(world.kube, name)
        assert sent.answered > 20
        times = _times(world.kube, pod["metadata"]["name"])
        sidecar = when(status(pod, "pillion")["state"]["running"]["startedAt"]).timestamp()
        main = when(status(pod, "main")["state"]["running"]["startedAt"]).timestamp()
        assert sidecar <= main
        assert min(times["request"]) > times["listening"][0]
        # Before the service was there the gateway said so, and nothing else went wrong.
        assert all(reason.startswith(("404", "503")) for reason in sent.failed), sent.failed
        world.record.section(
            "Start of a slow application",
            [
                f"sidecar's container before the application's: {main - sidecar:.0f} s (whole seconds)",
                f"listening until the first request: {min(times['request']) - times['listening'][0]:.1f} s",
            ],
        )


def test_a_pod_that_ends_gets_no_request_after_its_callers_heard_of_it_and_loses_none(world: World) -> None:
    with steps(world, replicas=2) as name:
        world.has(name, 2)
        victim = world.kube.pods(SHOP, f"app={name}")[0]
        pod = victim["metadata"]["name"]
        with load(world.kube, world.images.full("pillion"), SHOP, f"http://{name}/", 50, mesh=True) as sent:
            log = _followed(world.kube, pod)
            began = time.time()
            world.kube.delete("pod", pod, SHOP)
            took = time.time() - began
        times = json.loads(log())
        assert sent.failed == {}
        last = max(times["request"])
        assert last < times["told to end"][0]
        assert world.ghosts(name, SHOP) == []
        world.record.section(
            "End of a pod",
            [
                str(sent),
                f"deleted: last request after {last - began:.1f} s",
                f"the application was told to end after {times['told to end'][0] - began:.1f} s",
                f"the pod was gone after {took:.1f} s",
            ],
        )


def _followed(kube: Kube, pod: str) -> Any:
    """Follow a container's log, which is gone with its pod; called, it gives the times by what as JSON."""
    import subprocess

    argv = [kube.kubectl, f"--kubeconfig={kube.kubeconfig}", "logs", "-f", f"--namespace={SHOP}", pod]
    process = subprocess.Popen([*argv, "--container=main"], stdout=subprocess.PIPE, text=True)

    def times() -> str:
        said, _ = process.communicate(timeout=30)
        found: dict[str, list[float]] = {}
        for line in said.splitlines():
            if line.startswith("{"):
                one = json.loads(line)
                found.setdefault(one["what"], []).append(one["at"])
        return json.dumps(found)

    return times


def test_a_pod_with_less_time_than_its_drain_leaves_no_ghost(world: World) -> None:
    with steps(world, replicas=1, grace=2) as name:
        world.has(name, 1)
        world.kube("scale", f"--namespace={SHOP}", f"deployment/{name}", "--replicas=0")
        began = time.monotonic()
        until("the pod is gone", lambda: not world.kube.every("pods", SHOP, f"app={name}"), 60)
        until("nothing passes", lambda: world.passing(name) == [], 30)
        silent = time.monotonic() - began
        until("nothing is left", lambda: world.instances(name) == [], 120)
        gone = time.monotonic() - began
        world.record.section(
            "Grace period of 2 s", [f"not passing after {silent:.1f} s, out of Consul after {gone:.1f} s"]
        )


def test_eviction_ends_a_pod_in_order_and_keeps_to_the_disruption_budget(world: World) -> None:
    world.has("inventory", 2)
    victim, other = (
        pod["metadata"]["name"] for pod in world.kube.pods(SHOP, "app.kubernetes.io/name=inventory")
    )
    with load(
        world.kube, world.images.full("pillion"), SHOP, "http://inventory/stock", 50, mesh=True
    ) as sent:
        _evict(world, victim)
        with pytest.raises(CommandError, match="disruption budget"):
            _evict(world, other)
        until("it is gone", lambda: world.kube.get("pod", victim, SHOP) is None, 60)
        assert world.ghosts("inventory", SHOP) == []
        world.has("inventory", 2)
    assert sent.failed == {}
    world.record.section("Eviction under load", [str(sent)])


def _evict(world: World, pod: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": SHOP}}
    path = f"/api/v1/namespaces/{SHOP}/pods/{pod}/eviction"
    world.kube("create", f"--raw={path}", "--filename=-", given=json.dumps(body))


def test_pods_drained_from_their_node_go_in_order_and_come_back(world: World) -> None:
    (pod,) = world.kube.pods(SHOP, "app.kubernetes.io/name=storefront")
    node = pod["spec"]["nodeName"]
    try:
        world.kube(
            "drain", node, "--pod-selector=app.kubernetes.io/name=storefront", "--ignore-daemonsets",
            "--delete-emptydir-data", "--timeout=90s", within=120,
        )  # fmt: skip
        assert world.kube.get("pod", pod["metadata"]["name"], SHOP) is None
        assert world.ghosts("storefront", SHOP) == []
    finally:
        world.kube("uncordon", node)
    world.has("storefront", 1)
    until("the shop is back", lambda: world.send(f"{world.gateway}/shop").status == 200, 30)


def test_the_only_node_drained_and_back_leaves_no_ghost_and_everything_works(world: World) -> None:
    """Everything at once, Consul's server and the injector among it; nothing can run until the node is uncordoned."""
    node = world.kube.every("pods", SHOP)[0]["spec"]["nodeName"]
    before = {pod["metadata"]["uid"] for pod in world.kube.every("pods", SHOP)}
    began = time.monotonic()
    try:
        # A budget for disruptions keeps the last pod of its kind on the only node for ever: by deletion, then.
        world.kube(
            "drain", node, "--disable-eviction", "--force", "--ignore-daemonsets", "--delete-emptydir-data",
            "--timeout=240s", within=270,
        )  # fmt: skip
        drained = time.monotonic() - began
        assert before.isdisjoint(pod["metadata"]["uid"] for pod in world.kube.every("pods", SHOP))
    finally:
        world.kube("uncordon", node)
    back = time.monotonic()
    until("the shop answers", lambda: world.send(f"{world.gateway}/shop").status == 200, 300)
    answered = time.monotonic() - back
    for service, count in SERVICES.items():
        world.has(service, count, 180)
        assert world.ghosts(service, SHOP) == []
    clean = time.monotonic() - back
    world.record.section(
        "The only node drained, then uncordoned",
        [
            f"empty after {drained:.0f} s",
            f"uncordoned, the shop answers after {answered:.0f} s; no ghost after {clean:.0f} s",
        ],
    )


def test_wait_and_drain_can_be_called_in_the_sidecar(world: World) -> None:
    with steps(world, replicas=2) as name:
        world.has(name, 2)
        pod = world.kube.pods(SHOP, f"app={name}")[0]
        where = pod["metadata"]["name"]
        world.kube.execute(SHOP, where, "pillion", "pillion", "wait", "--timeout", "5")
        with load(world.kube, world.images.full("pillion"), SHOP, f"http://{name}/", 50, mesh=True) as sent:
            world.kube.execute(SHOP, where, "pillion", "pillion", "drain")
            assert [one["ID"] for one in world.passing(name)] != []
            assert pod["metadata"]["uid"] not in json.dumps(world.passing(name))
            with pytest.raises(CommandError, match="not ready within"):
                world.kube.execute(SHOP, where, "pillion", "pillion", "wait", "--timeout", "1")
        assert sent.failed == {}
        until("the kubelet sees it", lambda: not ready(world.kube.get("pod", where, SHOP) or {}), 30)


def test_an_application_without_a_prestop_got_a_native_sleep(world: World) -> None:
    with steps(world) as name:
        pod = _one(world.kube, name)
        assert container(pod, "main")["lifecycle"]["preStop"]["sleep"]["seconds"] >= 1
