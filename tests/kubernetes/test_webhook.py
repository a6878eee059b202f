"""The injector while things happen to it: updates, kills, new certificates, a wrong CA, none there at all."""

import base64
import json
import time
import uuid
from typing import Any

import pytest

from tests.commands import CommandError
from tests.kubernetes import pods
from tests.kubernetes.admissions import admissions
from tests.kubernetes.install import PILLION, SERVERS, SHOP, SYSTEM
from tests.kubernetes.kube import containers, ready, until
from tests.kubernetes.world import World

INJECTOR = f"{PILLION}-injector"
SELECTOR = "app.kubernetes.io/name=injector"
KILL = """
import os, signal, sys
uid = sys.argv[1]
def read(pid, name):
    try:
        return open(f"/proc/{pid}/{name}").read()
    except OSError:
        return ""
for pid in filter(str.isdigit, os.listdir("/proc")):
    if uid in read(pid, "cgroup").replace("_", "-") and "injector" in read(pid, "cmdline").split("\\0"):
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
"""
"""Ends the process of an injector by its pod's uid, from the node: a first process shrugs off its own pod's signals."""
SHORT = {"webhook": {"ca_life": 60.0, "certificate_life": 30.0}}
"""Half a minute of a CA, and a quarter of one of a certificate: several of both in the time of a test."""


def _pod(world: World, space: str = SHOP, name: str = "review") -> dict[str, Any]:
    body = pods.spec(
        world.images.full("pillion"), ["sleep", "60"], ports=[{"name": "http", "containerPort": 8000}]
    )
    return pods.pod(pods.metadata(name, space, labels={"app": "review"}), body)


def _settled(world: World) -> None:
    world.kube.rolled_out(SYSTEM, f"deployment/{INJECTOR}")
    until(
        "two replicas", lambda: len([one for one in world.kube.pods(SYSTEM, SELECTOR) if ready(one)]) == 2, 60
    )


def _bundles(world: World) -> set[str]:
    configuration = world.kube.get("mutatingwebhookconfiguration", INJECTOR)
    assert configuration is not None
    return {one["clientConfig"].get("caBundle", "") for one in configuration["webhooks"]}


def test_no_review_fails_while_all_replicas_are_made_anew(world: World) -> None:
    _settled(world)
    with admissions(world, _pod(world)) as found:
        world.kube("rollout", "restart", f"--namespace={SYSTEM}", f"deployment/{INJECTOR}")
        _settled(world)
    assert found.failures == []
    assert found.admitted > 50
    world.record.section("Rolling update of the injector", [str(found)])


def test_no_review_fails_when_a_replica_is_deleted(world: World) -> None:
    _settled(world)
    with admissions(world, _pod(world)) as found:
        victim = world.kube.pods(SYSTEM, SELECTOR)[0]["metadata"]["name"]
        world.kube.delete("pod", victim, SYSTEM)
        _settled(world)
    assert found.failures == []
    world.record.section("A replica of the injector deleted", [str(found)])


def test_a_killed_replica_costs_at_most_the_reviews_that_it_was_answering(world: World) -> None:
    _settled(world)
    victim = world.kube.pods(SYSTEM, SELECTOR)[0]["metadata"]["name"]
    with admissions(world, _pod(world)) as found:
        world.kube.delete("pod", victim, SYSTEM, "--force", "--grace-period=0")
        _settled(world)
    world.record.section(
        "A replica of the injector removed by force", [str(found), *sorted(set(found.failures))[:3]]
    )
    assert len(found.failures) <= 20, found.failures


def test_a_killed_process_is_started_again_with_the_same_certificates(world: World) -> None:
    _settled(world)
    before, victim = _bundles(world), world.kube.pods(SYSTEM, SELECTOR)[0]["metadata"]
    with admissions(world, _pod(world)) as found:
        killed = pods.on_the_node(world.kube, SERVERS, world.images.full("pillion"), KILL, victim["uid"])
        assert len(killed.split()) == 1, killed

        def restarts() -> int:
            pod = world.kube.get("pod", victim["name"], SYSTEM)
            return int(pod["status"]["containerStatuses"][0]["restartCount"]) if pod else 0

        until("the container runs again", lambda: restarts() == 1, 60)
        _settled(world)
    world.record.section("The process of an injector killed", [str(found), *sorted(set(found.failures))[:3]])
    assert len(found.failures) <= 20, found.failures
    assert _bundles(world) == before


def test_certificates_are_replaced_while_pods_are_admitted(world: World) -> None:
    values = world.images.pillion()
    world.helm.install(PILLION, "pillion", SYSTEM, {**values, "injector": {"config": SHORT}})
    try:
        _made_anew(world)
        seen: list[set[str]] = []
        with admissions(world, _pod(world), rate=10) as found:
            ends = time.monotonic() + 80
            while time.monotonic() < ends:
                now = _bundles(world)
                assert len(now) == 1
                if now != (seen[-1] if seen else None):
                    seen.append(now)
                time.sleep(1)
        assert found.failures == []
        assert len(seen) >= 3, "the CA bundle did not change"
        world.record.section(
            "Certificates with a life of 30 s, CA 60 s",
            [f"{len(seen) - 1} changes of the CA bundle; {found}"],
        )
    finally:
        world.helm.install(PILLION, "pillion", SYSTEM, values)
        _made_anew(world)


def _made_anew(world: World) -> None:
    """A CA with the life that the settings say: who runs keeps the one that is there, so nobody may run meanwhile."""
    world.kube("scale", f"--namespace={SYSTEM}", f"deployment/{INJECTOR}", "--replicas=0")
    until("nobody has the CA", lambda: not world.kube.every("pods", SYSTEM, SELECTOR), 60)
    world.kube.delete("secret", f"{INJECTOR}-ca", SYSTEM)
    world.kube("scale", f"--namespace={SYSTEM}", f"deployment/{INJECTOR}", "--replicas=2")
    _settled(world)
    until("a pod is admitted", lambda: world.kube.apply(_pod(world), dry_run=True), 30)


def test_the_cas_secret_is_made_again_with_the_same_ca_when_somebody_deletes_it(world: World) -> None:
    before = world.secret(SYSTEM, f"{INJECTOR}-ca")
    with admissions(world, _pod(world)) as found:
        world.kube.delete("secret", f"{INJECTOR}-ca", SYSTEM)
        until("it is there again", lambda: world.kube.get("secret", f"{INJECTOR}-ca", SYSTEM), 60)
        _settled(world)
    assert world.secret(SYSTEM, f"{INJECTOR}-ca") == before
    assert found.failures == []


@pytest.mark.parametrize("broken", ["emptied", "foreign"])
def test_a_ca_bundle_that_somebody_changed_is_repaired(world: World, broken: str) -> None:
    (before,) = _bundles(world)
    wrong = "" if broken == "emptied" else _foreign(world)
    patch = [
        {"op": "replace", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": wrong}
        for number in range(2)
    ]
    began = time.monotonic()
    world.kube(
        "patch", "mutatingwebhookconfiguration", INJECTOR, "--type=json", f"--patch={json.dumps(patch)}"
    )
    until("the bundle is right again", lambda: _bundles(world) == {before}, 60)
    took = time.monotonic() - began
    until("a pod is admitted", lambda: world.kube.apply(_pod(world), dry_run=True), 30)
    world.record.section(f"CA bundle {broken}", [f"repaired after {took:.1f} s"])


def _foreign(world: World) -> str:
    """The cluster's own CA, which signed nothing of the injector's."""
    root = world.kube.get("configmap", "kube-root-ca.crt", SHOP)
    assert root is not None
    return base64.b64encode(root["data"]["ca.crt"].encode()).decode()


def test_without_an_injector_only_pods_of_the_mesh_wait(world: World) -> None:
    name = f"plain-{uuid.uuid4().hex[:6]}"
    world.kube("scale", f"--namespace={SYSTEM}", f"deployment/{INJECTOR}", "--replicas=0")
    try:
        until("it is gone", lambda: not world.kube.every("pods", SYSTEM, SELECTOR), 60)
        with pytest.raises(CommandError, match=r"failed calling webhook .*pillion\.dev"):
            world.kube.apply(_pod(world, SHOP, name), dry_run=True)
        for space in ("kube-system", "default", SYSTEM):
            (made,) = world.kube.apply(_pod(world, space, name), dry_run=True)
            assert [one["name"] for one in containers(made["spec"])] == ["main"]
        system = world.kube.every("pods", "kube-system", "k8s-app=kube-dns")[0]["metadata"]["name"]
        world.kube.delete("pod", system, "kube-system")
        until(
            "a new one is ready",
            lambda: all(map(ready, world.kube.pods("kube-system", "k8s-app=kube-dns"))),
            60,
        )
        assert world.send(f"{world.gateway}/shop").status == 200, "what runs does not need the injector"
    finally:
        world.kube("scale", f"--namespace={SYSTEM}", f"deployment/{INJECTOR}", "--replicas=2")
    _settled(world)
    until("a pod is admitted", lambda: world.kube.apply(_pod(world), dry_run=True), 30)
