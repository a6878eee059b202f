"""The injector against a real API server that enforces RBAC: it asks our webhook for every pod that is created."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent.inject import leader, rights
from agent.inject.certificates import making
from agent.inject.cluster import errors
from agent.inject.cluster.client import Client, Object
from agent.inject.cluster.kinds import CONFIGURATIONS, LEASES, NAMESPACES, PODS, SECRETS
from agent.inject.cluster.mirror import Mirror
from agent.inject.leader import Leader
from agent.inject.pods import pods
from agent.runtime.errors import Permanent, Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.injector.process import POD, Injector
from tests.kubernetes.control_plane import ACCOUNT, ControlPlane, missing
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.asyncio(loop_scope="module"),
]

NAMES = {
    "webhook.secret": "pillion-injector-ca",
    "webhook.configuration": "pillion-injector",
    "webhook.lease": "pillion-injector",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    server = ControlPlane(tmp_path_factory.mktemp("plane"))
    try:
        await server.start()
        async with server.admin() as client:
            for name, labels in (("pillion", {}), ("shop", {"pillion.dev/inject": "enabled"}), ("plain", {})):
                await client.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
        await server.grant(
            rights.rules(rights.ALL, NAMES, own=True), rights.rules(rights.ALL, NAMES, own=False)
        )
        yield server
    finally:
        server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def admin(plane: ControlPlane) -> AsyncIterator[Client]:
    async with plane.admin() as client:
        yield client


@pytest.fixture
def injector(plane: ControlPlane, tmp_path: Path) -> Iterator[Injector]:
    made = Injector(tmp_path / "one", plane.environ, plane.account)
    yield made
    made.kill()


def configuration(port: int, **more: Any) -> Object:
    """A webhook configuration as the chart makes it, but for the URL: there is no Service network here."""
    webhook = {
        "name": "pods.injector.pillion.dev",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/mutate"},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
        ],
        "namespaceSelector": {"matchLabels": {"pillion.dev/inject": "enabled"}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    return {"metadata": {"name": "pillion-injector"}, "webhooks": [webhook | more]}


async def configured(admin: Client, port: int, **more: Any) -> None:
    """The cluster with exactly this webhook configuration."""
    try:
        held = await admin.get(CONFIGURATIONS, "pillion-injector")
    except errors.Absent:
        await admin.create(CONFIGURATIONS, configuration(port, **more))
    else:
        await admin.replace(CONFIGURATIONS, {**configuration(port, **more), "metadata": held["metadata"]})


async def created(admin: Client, namespace: str = "shop", **annotations: str) -> Object:
    """A pod as the API server stored it after our webhook."""
    metadata = POD["metadata"] | {
        "annotations": {f"pillion.dev/{key}": text for key, text in annotations.items()}
    }
    return await admin.create(PODS, {**POD, "metadata": metadata}, namespace)


def sidecar(pod: Object) -> bool:
    return "pillion" in [one["name"] for one in pod["spec"].get("initContainers", [])]


async def admitted(admin: Client) -> bool:
    """Whether a pod gets through; the API server hears of a new CA after a moment."""
    try:
        return sidecar(await created(admin))
    except Transient:
        return False


async def bundle(admin: Client) -> str:
    found = await admin.get(CONFIGURATIONS, "pillion-injector")
    text: str = found["webhooks"][0]["clientConfig"].get("caBundle", "")
    return text


async def test_the_api_server_admits_pods_by_our_webhook(admin: Client, injector: Injector) -> None:
    await configured(admin, injector.port)
    injector.start()
    await injector.ready()
    await until(lambda: admitted(admin))
    pod = await created(admin)
    (found,) = [one for one in pod["spec"]["initContainers"] if one["name"] == "pillion"]
    assert found["restartPolicy"] == "Always"
    assert not sidecar(await created(admin, "plain"))
    with pytest.raises(Permanent, match=r"pillion\.dev/port") as refused:
        await created(admin, port="http!")
    assert "422" in str(refused.value)
    assert await injector.sample("pillion_injector_reviews_total", result="refused") == 1


async def test_a_dry_run_is_answered_and_stores_nothing(admin: Client, injector: Injector) -> None:
    await configured(admin, injector.port)
    injector.start()
    await injector.ready()
    await until(lambda: admitted(admin))
    before = len(await pods(admin, namespace="shop"))
    path = f"{PODS.path(namespace='shop')}?dryRun=All"
    pod = json.loads(await admin._whole("POST", path, POD))
    assert sidecar(pod)
    assert len(await pods(admin, namespace="shop")) == before


async def test_without_an_injector_the_pod_waits_and_others_do_not(admin: Client, injector: Injector) -> None:
    await configured(admin, injector.port)
    with pytest.raises(Transient, match=r"failed calling webhook .pods\.injector\.pillion\.dev"):
        await created(admin)
    assert not sidecar(await created(admin, "plain"))
    assert not sidecar(await created(admin, "kube-system"))


async def test_a_ca_that_is_taken_out_or_replaced_is_back_within_seconds(
    admin: Client, injector: Injector
) -> None:
    await configured(admin, injector.port)
    injector.start()
    await injector.ready()
    right = await bundle(admin)
    foreign = making.authority(datetime.now(UTC), timedelta(days=1)).certificate
    for edited in ({}, {"caBundle": base64.b64encode(foreign).decode()}):
        change = {"url": f"https://127.0.0.1:{injector.port}/mutate"} | edited
        await configured(admin, injector.port, clientConfig=change)

        async def repaired() -> bool:
            return await bundle(admin) == right

        await until(repaired, within=5)
    await until(lambda: admitted(admin), within=5)


async def test_two_replicas_that_start_at_once_agree_on_one_ca(
    admin: Client, injector: Injector, plane: ControlPlane, tmp_path: Path
) -> None:
    await _forgotten(admin)
    await configured(admin, injector.port)
    other = Injector(tmp_path / "two", plane.environ, plane.account)
    injector.start()
    other.start()
    try:
        await injector.ready()
        await other.ready()
        await until(lambda: admitted(admin))
        await configured(admin, other.port)
        await other.ready()
        await until(lambda: admitted(admin))
        written = injector.said().count("certificates.authorities_written")
        assert written + other.said().count("certificates.authorities_written") == 1
    finally:
        other.kill()


async def _forgotten(admin: Client) -> None:
    """No Secret of an earlier test."""
    try:
        await admin._whole("DELETE", SECRETS.path("pillion-injector-ca", "pillion"))
    except errors.Absent:
        pass


async def test_pods_are_admitted_while_the_ca_is_rotated(admin: Client, injector: Injector) -> None:
    """By the API server's own verification, with lives of a minute."""
    await _forgotten(admin)
    injector.settings["webhook"] |= {"ca_life": "60s", "certificate_life": "30s"}
    await configured(admin, injector.port)
    injector.start()
    await injector.ready()
    await until(lambda: admitted(admin))
    loop = asyncio.get_running_loop()
    ends, count, bundles = loop.time() + 45, 0, set[str]()
    while loop.time() < ends:
        assert sidecar(await created(admin))
        bundles.add(await bundle(admin))
        count += 1
        await asyncio.sleep(0.1)
    assert count > 100
    assert len(bundles) >= 3
    assert injector.said().count("certificates.authorities_written") >= 3
    await _forgotten(admin)


async def test_a_stop_under_load_fails_no_pod(
    admin: Client, injector: Injector, plane: ControlPlane, tmp_path: Path
) -> None:
    """Two replicas; the configuration is turned to the other one as a Service's endpoints are."""
    other = Injector(tmp_path / "two", plane.environ, plane.account)
    injector.settings["webhook"] |= {"spread": "3s"}
    await configured(admin, injector.port)
    injector.start()
    other.start()
    try:
        await injector.ready()
        await other.ready()
        await until(lambda: admitted(admin))
        done, count = asyncio.Event(), 0

        async def creating() -> None:
            nonlocal count
            while not done.is_set():
                assert sidecar(await created(admin))
                count += 1

        tasks = [asyncio.create_task(creating()) for _ in range(4)]
        await until(lambda: count > 20)
        stopping = asyncio.create_task(injector.stop())

        async def unready() -> bool:
            return (await injector.readiness())[0] == 503

        await until(unready)
        held = await admin.get(CONFIGURATIONS, "pillion-injector")
        held["webhooks"][0]["clientConfig"]["url"] = f"https://127.0.0.1:{other.port}/mutate"
        await admin.replace(CONFIGURATIONS, held)
        assert await stopping == 0
        before = count
        await until(lambda: count > before + 20)
        done.set()
        await asyncio.gather(*tasks)
    finally:
        other.kill()


async def test_a_restart_of_the_api_server_is_survived(
    admin: Client, injector: Injector, plane: ControlPlane
) -> None:
    await configured(admin, injector.port)
    injector.start()
    await injector.ready()
    await asyncio.to_thread(plane.stop_api)
    await plane.start_api()
    await injector.ready()
    await until(lambda: admitted(admin))
    name = "after-restart"
    await admin.create(NAMESPACES, {"metadata": {"name": name, "labels": {"pillion.dev/inject": "enabled"}}})
    assert sidecar(await created(admin, name))


async def test_a_mirror_follows_a_real_watch(plane: ControlPlane, admin: Client) -> None:
    seen: Latest[Any] = Latest(None)
    board = Board(lambda: 0.0)
    async with plane.injector() as client:
        mirror = Mirror(
            "namespaces", client, NAMESPACES, lambda one: one["metadata"].get("labels", {}), seen,
            health=board.of("namespaces"), lasts=2.0,
        )  # fmt: skip
        ready = asyncio.Event()
        task = asyncio.create_task(mirror.run(ready.set))
        try:
            await asyncio.wait_for(ready.wait(), 10)
            assert seen.value["shop"]["pillion.dev/inject"] == "enabled"
            for n in range(3):  # longer than one watch lasts
                name = f"watched-{n}"
                await admin.create(NAMESPACES, {"metadata": {"name": name, "labels": {"n": str(n)}}})
                await until(lambda name=name: name in seen.value, within=5)
                await admin.patch(NAMESPACES, name, {"metadata": {"labels": {"n": "changed"}}})
                await until(lambda name=name: seen.value[name]["n"] == "changed", within=5)
                await asyncio.sleep(1.2)
            mirror._version = "1"  # long compacted or, at least, not what is there
            await admin.create(NAMESPACES, {"metadata": {"name": "watched-late"}})
            await until(lambda: "watched-late" in seen.value, within=10)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_the_living_pods_are_listed_page_by_page(plane: ControlPlane, admin: Client) -> None:
    await admin.create(NAMESPACES, {"metadata": {"name": "many"}})
    for n in range(0, 300, 20):
        await asyncio.gather(*(_pod(admin, f"p{n + m}", f"node-{m % 2}") for m in range(20)))
    ended = await admin.get(PODS, "p0", "many")
    ended["status"] = {"phase": "Succeeded"}
    await admin._whole("PUT", PODS.path("p0", "many") + "/status", ended)
    async with plane.injector() as client:
        found = await pods(client, namespace="many")
        assert len(found) == 299
        assert len({one.uid for one in found}) == 299
        (one,) = [one for one in found if one.name == "p1"]
        assert (one.namespace, one.node) == ("many", "node-1")
        assert {one.node for one in await pods(client, node="node-0", namespace="many")} == {"node-0"}
        assert len(await pods(client)) >= 299


async def _pod(admin: Client, name: str, node: str) -> None:
    spec = {"nodeName": node, "containers": [{"name": "a", "image": "a:1"}]}
    await admin.create(PODS, {"metadata": {"name": name}, "spec": spec}, "many")


class Candidate:
    """One replica that wants to lead."""

    def __init__(self, client: Client, name: str) -> None:
        self.leading = Latest(False)
        self.board = Board(lambda: 0.0)
        self.leader = Leader(
            client, "pillion-injector", "pillion", name, self.leading, health=self.board.of("leader")
        )
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.leader.run(lambda: None))

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_one_replica_leads_and_hands_over_when_it_stops(plane: ControlPlane, admin: Client) -> None:
    async with plane.injector() as client:
        one, two = Candidate(client, "one"), Candidate(client, "two")
        for each in (one, two):
            each.start()
        await until(lambda: one.leading.value or two.leading.value)
        assert one.leading.value is not two.leading.value
        leads, waits = (one, two) if one.leading.value else (two, one)
        await leads.stop()
        await until(lambda: waits.leading.value, within=leader.EVERY * 2 + 2)
        spec = (await admin.get(LEASES, "pillion-injector", "pillion"))["spec"]
        assert spec["holderIdentity"] == ("two" if waits is two else "one")
        assert spec["leaseTransitions"] >= 1
        await waits.stop()


async def test_a_right_that_is_missing_is_named(plane: ControlPlane) -> None:
    async with plane.injector() as client:
        with pytest.raises(errors.Denied, match="cannot list resource"):
            await client.list(LEASES, dict, namespace="pillion")
        with pytest.raises(errors.Denied, match="give the service account that right"):
            await client.get(CONFIGURATIONS, "another")


def _asked(plane: ControlPlane) -> set[tuple[str, str, str, str]]:
    """What the injector's account did: verb, resource, namespace and name (of a list: its selector's)."""
    found = set()
    for line in plane.audit.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] != ACCOUNT or "objectRef" not in event:
            continue
        if event.get("responseStatus", {}).get("code") == 403:
            continue
        ref = event["objectRef"]
        found.add((event["verb"], ref["resource"], ref.get("namespace", ""), ref.get("name", "")))
    return found


async def test_all_that_was_asked_is_a_right_and_every_right_was_used(plane: ControlPlane) -> None:
    """Runs last: the audit log holds what all tests above did."""
    asked = _asked(plane)
    used = {(verb, resource) for verb, resource, _, _ in asked}
    given = {(verb, right.kind.plural) for right in rights.ALL for verb in right.verbs}
    assert used == given


async def test_an_account_that_the_api_server_does_not_know_is_told(
    plane: ControlPlane, tmp_path: Path
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    for file in plane.account.iterdir():
        (account / file.name).write_bytes(file.read_bytes())
    (account / "token").write_text("nobody")
    injector = Injector(tmp_path / "one", plane.environ, account)
    injector.start()
    try:

        async def told() -> bool:
            status, words = await injector.readiness()
            return status == 503 and "401" in words

        await until(told)
        assert "nobody" not in injector.said()
    finally:
        injector.kill()
