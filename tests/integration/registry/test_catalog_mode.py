"""Registration straight in the catalogue, and what removes what dead pods leave there, on real Consul."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.demo import backing
from agent.model.registration import ServiceHealth
from agent.registry import client
from agent.registry.metrics import Sweeps
from agent.registry.sweep import Sweep
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.registry.servers import Servers
from tests.integration.registry.side import (
    HEALTHY,
    Recorder,
    Relay,
    Side,
    View,
    call,
    ended,
    relayed,
    running,
    settings_of,
    sides,
)
from tests.waiting import until

SICK = ServiceHealth(False, "does not answer")


@pytest.fixture(scope="module")
def servers(server_folder: Path) -> Iterator[Servers]:
    made = Servers(server_folder / "three")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def pod(url: str, cluster: str = "", node: str = "n1", **sections: Any) -> Settings:
    """A pod's agent in catalog mode; every test has a cluster of its own."""
    identity = {
        "pod_uid": str(uuid.uuid4()),
        "namespace": "shop",
        "node": node,
        "cluster": cluster or unique(),
    }
    registry = {"mode": "catalog", **sections.pop("registry", {})}
    name = sections.pop("name", "") or unique()
    return settings_of(url, name, registry=registry, kubernetes=identity, **sections)


def unique() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


class Pods:
    """The list of living pods, as the test says."""

    def __init__(self, *settings: Settings) -> None:
        self.own = str(uuid.uuid4())
        self.uids = {self.own, *(one.kubernetes.pod_uid for one in settings)}
        self.error: Transient | None = None
        self.asked = 0

    async def living(self) -> frozenset[str]:
        self.asked += 1
        if self.error:
            raise self.error
        return frozenset(self.uids)


class Sweeping:
    """A sweep and what it stands on."""

    def __init__(self, consul: client.Client, pods: Pods, cluster: str) -> None:
        self.pods = pods
        self.leads = Latest(True)
        self.board = Board(lambda: 0.0)
        self.metrics = Sweeps(CollectorRegistry())
        self.sweep = Sweep(
            consul,
            pods,
            self.leads,
            cluster=cluster,
            own=pods.own,
            health=self.board.of("sweep"),
            metrics=self.metrics,
            interval=0.2,
        )

    @property
    def removed(self) -> tuple[float, float]:
        """Instances and nodes."""
        count = self.metrics.removed
        return count.labels("instance")._value.get(), count.labels("node")._value.get()

    @property
    def detail(self) -> str:
        report = self.board.reports["sweep"]
        return f"{report.state}: {report.detail}"


@contextlib.asynccontextmanager
async def sweeping(settings: Settings, pods: Pods) -> AsyncIterator[Sweeping]:
    async with client.connect(settings.registry) as consul:
        made = Sweeping(consul, pods, settings.kubernetes.cluster)
        task = await running(made.sweep)
        try:
            yield made
        finally:
            await ended(task)


def nodes(url: str, cluster: str) -> list[str]:
    return [one["Node"] for one in call(url, f"/v1/catalog/nodes?node-meta=pillion-cluster:{cluster}")]


async def looks(pods: Pods, count: int) -> None:
    """Until the sweep has looked so many times more."""
    wanted = pods.asked + count
    await until(lambda: pods.asked >= wanted)


async def test_a_pod_is_registered_on_its_virtual_node_and_told_at_once_of_each_change(
    shared_consul: backing.Consul,
) -> None:
    unhurried = {"reconcile_interval": 600.0, "ttl": 600.0}  # else the next look would tell it too
    settings = pod(shared_consul.url, service={"tags": ["web"]}, registry=unhurried)
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        (entry,) = view.entries()
        identity = settings.kubernetes
        assert entry["Node"]["Node"] == f"pillion-{identity.cluster}-n1"
        assert entry["Node"]["Meta"] == {"pillion-node": "virtual", "pillion-cluster": identity.cluster}
        assert entry["Service"]["ID"] == f"{settings.service.name}-{identity.pod_uid}"
        assert (entry["Service"]["Address"], entry["Service"]["Tags"]) == ("127.0.0.1", ["web"])
        assert entry["Service"]["Meta"]["pillion-namespace"] == "shop"
        side.service.set(SICK)
        await until(lambda: view.statuses() == ["critical"])
        assert view.entries()[0]["Checks"][0]["Output"] == "does not answer"
        side.service.set(HEALTHY)
        await until(lambda: view.statuses() == ["passing"])
        await side.leave()
        assert view.entries() == []


async def test_pods_of_one_node_share_it_and_do_not_write_it_anew(shared_consul: backing.Consul) -> None:
    first = pod(shared_consul.url)
    second = pod(shared_consul.url, first.kubernetes.cluster, service={"address": "127.0.0.9"})
    one, two = Side(first), Side(second)
    async with sides(one, two):
        await one.start()
        before = View(shared_consul, first.service.name).entries()[0]["Node"]
        await two.start()
        assert View(shared_consul, second.service.name).entries()[0]["Node"] == before


async def test_nothing_is_written_while_nothing_changes(shared_consul: backing.Consul) -> None:
    """Each write goes through the servers' log; the loop only reads."""
    settings = pod(shared_consul.url, registry={"reconcile_interval": 1.0, "ttl": 1.0})
    side = Side(settings)

    def written() -> float:
        return float(side.metrics.updates.labels("told")._value.get())

    async with sides(side):
        await side.start()
        view = View(shared_consul, settings.service.name)
        await until(lambda: view.statuses() == ["passing"])
        index = view.entries()[0]["Checks"][0]["ModifyIndex"]
        before = written()
        await until(lambda: written() >= before + 3)
        assert view.entries()[0]["Checks"][0]["ModifyIndex"] == index
        assert side.metrics.repairs.labels("changed")._value.get() == 0


@pytest.mark.parametrize("taken", ["service", "check", "node", "status"])
async def test_whatever_someone_else_took_or_changed_is_repaired(
    shared_consul: backing.Consul, taken: str
) -> None:
    settings = pod(shared_consul.url)
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        (entry,) = view.entries()
        node, instance = entry["Node"]["Node"], entry["Service"]["ID"]
        what = {"service": {"ServiceID": instance}, "check": {"CheckID": f"service:{instance}"}}
        if taken == "status":
            check = {
                "CheckID": f"service:{instance}",
                "Name": "x",
                "ServiceID": instance,
                "Status": "critical",
            }
            body = {"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": True, "Check": check}
            call(shared_consul.url, "/v1/catalog/register", body, "PUT")
            await until(lambda: view.statuses() == ["critical"])
        else:
            call(shared_consul.url, "/v1/catalog/deregister", {"Node": node, **what.get(taken, {})}, "PUT")
            await until(lambda: view.statuses() == [])
        await until(lambda: view.statuses() == ["passing"])
        await until(lambda: side.detail("registrar") == "ok: ")


async def test_meta_that_others_add_stays_over_a_change_of_the_check(shared_consul: backing.Consul) -> None:
    settings = pod(shared_consul.url, registry={"reconcile_interval": 600.0})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        (entry,) = view.entries()
        service = {key: entry["Service"][key] for key in ("ID", "Service", "Address", "Port", "Tags", "Meta")}
        service["Meta"]["cost-centre"] = "7"
        body = {
            "Node": entry["Node"]["Node"],
            "Address": "127.0.0.1",
            "SkipNodeUpdate": True,
            "Service": service,
        }
        call(shared_consul.url, "/v1/catalog/register", body, "PUT")
        side.service.set(SICK)
        await until(lambda: view.statuses() == ["critical"])
        assert view.entries()[0]["Service"]["Meta"]["cost-centre"] == "7"


async def test_a_node_of_that_name_that_is_not_ours_is_left_alone(shared_consul: backing.Consul) -> None:
    settings = pod(shared_consul.url)
    node = {"Node": f"pillion-{settings.kubernetes.cluster}-n1", "Address": "10.0.0.1"}
    call(shared_consul.url, "/v1/catalog/register", node, "PUT")
    side = Side(settings)
    async with sides(side):
        await side.start(wait=False)
        await until(lambda: "is not one that Pillion made" in side.detail("registrar"))
        assert View(shared_consul, settings.service.name).entries() == []


async def test_after_sigkill_the_instance_stays_without_a_sweep_and_goes_with_one(
    shared_consul: backing.Consul,
) -> None:
    settings = pod(shared_consul.url, registry={"ttl": 1.0})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
    await asyncio.sleep(3)  # three times what a TTL would have been
    assert view.statuses() == ["passing"]
    pods = Pods(settings)
    async with sweeping(settings, pods) as made:
        await looks(pods, 3)
        assert view.statuses() == ["passing"], "its pod lives"
        pods.uids.discard(settings.kubernetes.pod_uid)
        await until(lambda: view.entries() == [])
        await until(lambda: nodes(shared_consul.url, settings.kubernetes.cluster) == [])
        await until(lambda: made.removed == (1, 1))


async def test_the_living_and_other_clusters_and_nodes_of_consuls_own_are_left_alone(
    shared_consul: backing.Consul,
) -> None:
    dead = pod(shared_consul.url)
    living = pod(shared_consul.url, dead.kubernetes.cluster)
    elsewhere = pod(shared_consul.url, node="n1")
    plain = settings_of(shared_consul.url, unique())
    running_sides = [Side(one) for one in (dead, living, elsewhere, plain)]
    async with sides(*running_sides):
        for side in running_sides:
            await side.start()
        await running_sides[0].crash()
        pods = Pods(living)
        async with sweeping(living, pods) as made:
            await until(lambda: View(shared_consul, dead.service.name).entries() == [])
            await looks(pods, 3)
            assert made.detail == "ok: "
            assert made.removed == (1, 0)
        for one in (living, elsewhere, plain):
            view = View(shared_consul, one.service.name)
            await until(lambda view=view: view.statuses() == ["passing"])


@pytest.mark.parametrize("wrong", ["error", "without itself", "empty"])
async def test_a_list_of_pods_that_fails_or_cant_be_true_removes_nothing(
    shared_consul: backing.Consul, wrong: str
) -> None:
    settings = pod(shared_consul.url)
    side = Side(settings)
    pods = Pods()
    if wrong == "error":
        pods.error = Transient("Kubernetes is away")
    else:
        pods.uids.clear()
        if wrong == "empty":
            pods.own = ""
    async with sides(side):
        await side.start()
        async with sweeping(settings, pods) as made:
            await looks(pods, 4)
            assert made.detail.startswith("degraded: what dead pods left in Consul is not removed")
            assert View(shared_consul, settings.service.name).statuses() == ["passing"]


async def test_one_look_that_finds_a_pod_dead_is_not_enough(shared_consul: backing.Consul) -> None:
    settings = pod(shared_consul.url)
    side, pods = Side(settings), Pods()
    async with sides(side), client.connect(settings.registry) as consul:
        await side.start()
        await side.crash()  # else it would be back a moment after it was removed
        sweep = Sweeping(consul, pods, settings.kubernetes.cluster).sweep
        view = View(shared_consul, settings.service.name)
        await sweep.turn()
        pods.error = Transient("Kubernetes is away")
        await sweep.turn()
        pods.error = None
        await sweep.turn()
        assert len(view.entries()) == 1, "a failure between begins anew"
        await sweep.turn()
        assert view.entries() == []


async def test_only_the_leader_removes(shared_consul: backing.Consul) -> None:
    settings = pod(shared_consul.url)
    side, pods = Side(settings), Pods()
    async with sides(side), client.connect(settings.registry) as consul:
        await side.start()
        made = Sweeping(consul, pods, settings.kubernetes.cluster)
        made.leads.set(False)
        task = await running(made.sweep)
        try:
            await until(lambda: made.detail == "ok: another one leads")
            await side.crash()
            assert pods.asked == 0
            made.leads.set(True)
            await until(lambda: View(shared_consul, settings.service.name).entries() == [])
        finally:
            await ended(task)


async def test_an_instance_that_is_swept_by_mistake_is_back_at_the_next_look(
    shared_consul: backing.Consul,
) -> None:
    settings = pod(shared_consul.url)
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        async with sweeping(settings, Pods()):
            await until(lambda: side.metrics.repairs.labels("lost")._value.get() >= 1)
        await until(lambda: view.statuses() == ["passing"])


async def test_any_server_takes_the_writes_and_the_death_of_the_leader_is_survived(servers: Servers) -> None:
    """A request goes to each server in turn, as behind a Service; the dead one comes back with its data."""
    balancer = Balancer([one.http for one in servers.all])
    settings = pod(f"http://{balancer.address}")
    side = Side(settings)
    async with relayed(balancer), sides(side):
        await side.start()
        leader = await until(servers.leader)
        other = next(one for one in servers.all if one is not leader)
        view = Anywhere(other.url, settings.service.name)
        await until(lambda: view.statuses() == ["passing"])
        balancer.ports = itertools.cycle([one.http for one in servers.all if one is not leader])
        await asyncio.to_thread(leader.kill)
        async with Recorder(lambda: len(view.entries())) as counts:
            side.service.set(SICK)
            await until(lambda: view.statuses() == ["critical"], within=60)
            await asyncio.to_thread(leader.start, 60)
            balancer.ports = itertools.cycle([leader.http])
            side.service.set(HEALTHY)
            await until(lambda: view.statuses() == ["passing"], within=60)
        assert counts.seen == [1], "one instance all the time"
        await side.leave()
        await until(lambda: view.entries() == [])  # the other servers hear of it a moment later


async def test_agent_mode_in_a_cluster_refuses_a_server_of_several(servers: Servers) -> None:
    settings = pod(servers.all[0].url, registry={"mode": "agent"})
    side = Side(settings)
    async with sides(side):
        await side.start(wait=False)
        await until(lambda: "one of 3 servers" in side.detail("registrar"))
        assert "registry.mode to catalog" in side.detail("registrar")
        assert entries(servers.all[0].url, settings) == []


async def test_agent_mode_in_a_cluster_refuses_agents_in_turn_and_never_registers(
    shared_consul: backing.Consul, own_consul: backing.Consul, tmp_path: Path
) -> None:
    other = Named(tmp_path / "other", "another")
    balancer = Balancer([own_consul.http, other.http])
    settings = pod(f"http://{balancer.address}", registry={"mode": "agent"})
    side = Side(settings)
    try:
        await asyncio.to_thread(other.start)
        async with relayed(balancer), sides(side):
            await side.start(wait=False)
            await until(lambda: "registered at several" in side.detail("registrar"))
            await asyncio.sleep(2)
            assert [entries(url, settings) for url in (own_consul.url, other.url)] == [[], []]
    finally:
        await asyncio.to_thread(other.stop)


async def test_agent_mode_in_a_pod_works_with_one_agent(shared_consul: backing.Consul) -> None:
    settings = pod(shared_consul.url, registry={"mode": "agent"})
    side = Side(settings)
    async with sides(side):
        await side.start()
        view = View(shared_consul, settings.service.name)
        await until(lambda: view.statuses() == ["passing"])
        assert view.entries()[0]["Service"]["ID"] == f"{settings.service.name}-{settings.kubernetes.pod_uid}"


class Balancer(Relay):
    """A way to several Consuls, a connection to each in turn."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(0)
        self.ports = itertools.cycle(ports)

    @property
    def port(self) -> int:
        return next(self.ports)

    @port.setter
    def port(self, value: int) -> None:
        """The turns are given apart."""


class Anywhere(View):
    """What the server at a URL says."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name

    def entries(self) -> list[Any]:
        """As this server has it, whether or not there is a leader."""
        return call(self.url, f"/v1/health/service/{self.name}?stale") or []


class Named(backing.Consul):
    """A Consul whose node has a name of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self.argv.append(f"-node={name}")


def entries(url: str, settings: Settings) -> list[Any]:
    return Anywhere(url, settings.service.name).entries()
