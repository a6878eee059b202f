"""The injector removes from the real Consul what dead pods left there, one replica at a time."""

import asyncio
import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from agent.config.sections.kubernetes import Kubernetes
from agent.demo import backing
from agent.registry import advertise, virtual
from tests.integration.injector.cluster import MWC, ApiServer
from tests.integration.injector.process import Injector
from tests.integration.injector.test_process import configuration
from tests.waiting import until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/pillion/leases/pillion-injector"


def _call(consul: backing.Consul, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{consul.url}{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def left(consul: backing.Consul, identity: Kubernetes) -> set[str]:
    """The instances on the virtual node."""
    found = _call(consul, "GET", f"/v1/catalog/node-services/{virtual.node(identity)}")
    return {one["ID"] for one in found["Services"] or ()}


@pytest.mark.timeout(400)
async def test_what_a_dead_pod_left_is_removed_by_the_replica_that_leads(
    shared_consul: backing.Consul, tmp_path: Path
) -> None:
    identity = Kubernetes(cluster=f"c{uuid.uuid4().hex[:8]}", node="n1")
    living, dead, lost = (str(uuid.uuid4()) for _ in range(3))
    own = {name: str(uuid.uuid4()) for name in ("one", "two")}
    for uid in (living, dead, lost):
        service = {"ID": f"shop-{uid}", "Service": "shop", "Port": 80, "Meta": {advertise.POD_UID: uid}}
        node = {"Node": virtual.node(identity), "Address": "10.0.0.1", "NodeMeta": virtual.meta(identity)}
        _call(shared_consul, "PUT", "/v1/catalog/register", {**node, "Service": service})
    async with ApiServer(tmp_path / "cluster").running() as cluster:
        cluster.put(f"/apis/admissionregistration.k8s.io/v1/{MWC}/pillion-injector", configuration())
        for name, uid, phase in (("a", living, "Running"), ("b", dead, "Failed"), ("c", lost, "Running")):
            metadata = {"name": name, "namespace": "shop", "uid": uid}
            metadata |= {"deletionTimestamp": "2026-03-01T12:00:00Z"} if uid == lost else {}
            cluster.put(f"/api/v1/pods/{name}", {"metadata": metadata, "status": {"phase": phase}})
        for name, uid in own.items():
            metadata = {"name": name, "namespace": "pillion", "uid": uid}
            cluster.put(f"/api/v1/pods/{name}", {"metadata": metadata, "status": {"phase": "Running"}})
        replicas = [Injector(tmp_path / name, cluster.environ, cluster.account) for name in own]
        try:
            for one in replicas:
                one.settings["registry"] = {"mode": "catalog", "address": shared_consul.url}
                one.settings["kubernetes"] = {
                    "cluster": identity.cluster,
                    "pod_uid": own[one.folder.name],
                    "pod": one.folder.name,
                }
                one.start()
            for one in replicas:
                await one.ready()
            await until(lambda: LEASE in cluster.objects, within=30)
            first = cluster.objects[LEASE]["spec"]["holderIdentity"]
            await until(lambda: left(shared_consul, identity) == {f"shop-{living}"}, within=90, every=0.5)
            leads = next(one for one in replicas if first.startswith(f"{one.folder.name}_"))
            await leads.stop()
            await until(
                lambda: cluster.objects[LEASE]["spec"]["holderIdentity"] not in {"", first}, within=60
            )
        finally:
            await asyncio.gather(*(one.stop() for one in replicas))
