"""`helm upgrade`, `rollback` and `uninstall` leave what the charts' documents say."""

import json

from tests.kubernetes.install import INFRA, PILLION, RELEASES, SERVERS, SERVICES, SHOP, SYSTEM
from tests.kubernetes.kube import until
from tests.kubernetes.world import World

OWNED = {"app.kubernetes.io/managed-by": "pillion-secrets"}


def _generated(world: World) -> dict[str, dict[str, str]]:
    return {
        f"{namespace}/{secret['metadata']['name']}": world.secret(namespace, secret["metadata"]["name"])
        for namespace in (SERVERS, SHOP)
        for secret in world.kube.every(
            "secrets", namespace, ",".join(f"{key}={value}" for key, value in OWNED.items())
        )
    }


def _uids(world: World, namespace: str, kind: str) -> set[str]:
    return {one["metadata"]["uid"] for one in world.kube.every(kind, namespace)}


def test_an_upgrade_without_a_change_keeps_every_secret_and_every_pod(world: World) -> None:
    secrets, pods = _generated(world), _uids(world, SERVERS, "pods")
    assert secrets
    world.helm.install(INFRA, "infrastructure", SERVERS, world.images.infrastructure())
    assert _generated(world) == secrets
    assert _uids(world, SERVERS, "pods") == pods


def test_a_new_consumer_gets_secrets_of_its_own_and_the_others_keep_theirs(world: World) -> None:
    before = _generated(world)
    values = world.images.infrastructure()
    more = {**values, "nats": {**values["nats"], "services": ["orders", "billing"]}}
    world.helm.install(INFRA, "infrastructure", SERVERS, more)
    after = _generated(world)
    assert f"{SHOP}/{INFRA}-nats-billing" in after
    kept = {key for key in before if not key.endswith((f"/{INFRA}-nats", f"/{INFRA}-values"))}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    world.helm("rollback", INFRA, f"--namespace={SERVERS}", "--wait", "--timeout=5m")
    assert {key: _generated(world)[key] for key in kept} == {key: before[key] for key in kept}
    until("the shop works", lambda: world.send(f"{world.gateway}/shop").status == 200, 60)


def test_a_rollback_of_a_service_brings_the_former_pods_back_and_loses_nothing(world: World) -> None:
    values = world.images.service("inventory", config={"COLOUR": "blue"})
    world.helm.install("inventory", "service", SHOP, values)
    assert _variable(world) == "blue"
    world.helm("rollback", "inventory", f"--namespace={SHOP}", "--wait", "--timeout=5m")
    world.kube.rolled_out(SHOP, "deployment/inventory")
    assert _variable(world) == ""
    world.has("inventory", 2)


def _variable(world: World) -> str:
    pod = world.kube.pods(SHOP, "app.kubernetes.io/name=inventory")[-1]["metadata"]["name"]
    python = "import os; print(os.environ.get('COLOUR', ''))"
    return world.kube.execute(SHOP, pod, "service", "python", "-c", python).strip()


def test_a_wrong_value_is_refused_with_its_name(world: World) -> None:
    said = world.helm.refusal("inventory", "service", SHOP, world.images.service("inventory", replica=3))
    assert "replica" in said


def test_uninstall_leaves_the_volumes_and_the_generated_secrets_and_nothing_else(world: World) -> None:
    secrets = _generated(world)
    for release in RELEASES:
        world.helm.uninstall(release, SHOP)
    for name in SERVICES:
        until("its instances are gone", lambda name=name: world.instances(name) == [], 60)
    world.helm.uninstall(PILLION, SYSTEM)
    world.helm.uninstall(INFRA, SERVERS)
    left: dict[str, list[str]] = {}
    for namespace in (SERVERS, SYSTEM, SHOP):
        until(
            f"no pod is in {namespace}",
            lambda namespace=namespace: not world.kube.every("pods", namespace),
            150,
        )
        for kind in (
            "secrets",
            "configmaps",
            "services",
            "persistentvolumeclaims",
            "serviceaccounts",
            "roles",
        ):
            for one in world.kube.every(kind, namespace):
                left.setdefault(kind, []).append(f"{namespace}/{one['metadata']['name']}")
    claims = left.pop("persistentvolumeclaims")
    assert set(left.pop("secrets")) == {*secrets, f"{SYSTEM}/{PILLION}-injector-ca"}
    assert {one.rpartition("/")[2] for one in left.pop("configmaps")} == {"kube-root-ca.crt"}
    assert {one.rpartition("/")[2] for one in left.pop("serviceaccounts")} == {"default"}
    assert left == {}
    assert world.kube.get("mutatingwebhookconfiguration", f"{PILLION}-injector") is None
    cluster = json.dumps([world.kube.every("clusterroles"), world.kube.every("clusterrolebindings")])
    assert f"{PILLION}-injector" not in cluster
    world.record.section("Left by uninstall", [*sorted(claims), *sorted(secrets)])
