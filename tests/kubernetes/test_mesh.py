"""Unmodified services call each other through Envoy, in one trace, and a change of the database becomes an event."""

import json
import uuid
from typing import Any

import pytest

from agent.demo import readings
from tests.kubernetes import events, pods
from tests.kubernetes.install import INBOUND, RELEASES, SERVICES, SHOP
from tests.kubernetes.kube import until
from tests.kubernetes.load import CALLER
from tests.kubernetes.world import Answer, World
from tests.waiting import until as until_async

GET = """
import json, sys, time, urllib.request
request = urllib.request.Request(sys.argv[1], headers=json.loads(sys.argv[2]))
with urllib.request.urlopen(request, timeout=20) as answer:
    print(json.dumps([answer.status, dict(answer.headers), answer.read().decode()]), flush=True)
time.sleep(float(sys.argv[3]))
"""
"""URL, headers as JSON, seconds to stay afterwards."""
FLUSH = 6
"""Seconds within which Envoy sends its spans; what ends before loses them."""


@pytest.mark.parametrize("service", SERVICES)
def test_each_pod_is_registered_with_its_address_and_its_uid_and_passes(world: World, service: str) -> None:
    found = world.has(service, SERVICES[service])
    releases = ",".join(release for release in RELEASES if release.startswith(service))
    found_pods = world.kube.pods(SHOP, f"app.kubernetes.io/name in ({releases})")
    wanted = {f"{service}-{pod['metadata']['uid']}": pod["status"]["podIP"] for pod in found_pods}
    assert {one["ID"]: one["Address"] for one in found} == wanted
    assert {one["Port"] for one in found} == {INBOUND}


def test_services_reach_each_other_by_name_and_the_gateway_reaches_all(world: World) -> None:
    shop = until("the shop answers", lambda: _ok(world.send(f"{world.gateway}/shop")), 30)
    assert len(shop.json["items"]) == 3
    assert shop.headers["x-request-id"]
    served = {world.ask(f"{world.gateway}/inventory/stock")["served_by"] for _ in range(20)}
    assert served == {
        pod["metadata"]["name"] for pod in world.kube.pods(SHOP, "app.kubernetes.io/name=inventory")
    }
    made = _checkout(world, "cup")
    assert world.ask(f"{world.gateway}/api/v2/orders/{made['id']}")["sku"] == "cup"


def test_urls_choose_the_version_of_an_api(world: World) -> None:
    for version in ("v1", "v2"):
        answer = world.send(f"{world.gateway}/api/{version}/orders")
        assert answer.status == 200
        assert answer.headers["x-api-version"] == version
        assert answer.json["served_by"].startswith(f"orders-{version}-")
        assert ("deprecation" in answer.headers) is (version == "v1")
    missing = world.send(f"{world.gateway}/api/v9/orders")
    assert missing.status == 404
    assert "v2" in missing.body


async def test_one_trace_holds_gateway_and_all_three_services(world: World) -> None:
    number = uuid.uuid4().hex
    _checkout(world, "teapot", traceparent=f"00-{number}-{uuid.uuid4().hex[:16]}-01")
    spans = await _trace(world, number, {"gateway", *SERVICES})
    ids = {span.tags["guid:x-request-id"] for span in spans if "guid:x-request-id" in span.tags}
    assert len(ids) == 1
    world.record.section(
        "One trace",
        [f"{len(spans)} spans of {', '.join(sorted({span.service for span in spans}))}, one request id"],
    )


async def test_a_change_of_the_database_arrives_on_the_broker_with_its_requests_trace(world: World) -> None:
    order, number = _checkout(world, "kettle")["id"], uuid.uuid4().hex
    context = f"00-{number}-{uuid.uuid4().hex[:16]}-01"
    path = f"{world.gateway}/api/v2/orders/{order}"
    assert world.send(path, "PATCH", {"status": "paid"}, traceparent=context).status == 200
    with events.broker(world) as url:
        event = await events.of_trace(url, number)
    assert event.headers["ce-type"] == "orders.updated"
    assert event.headers["ce-subject"] == str(order)
    assert json.loads(event.body)["after"]["status"] == "paid"


async def test_name_namespace_svc_goes_through_the_mesh(world: World) -> None:
    number = uuid.uuid4().hex
    with_trace = {"traceparent": f"00-{number}-{uuid.uuid4().hex[:16]}-01"}
    for url in (f"http://inventory.{SHOP}.svc/stock", f"http://inventory.{SHOP}.svc.cluster.local/stock"):
        status, _, body = _called(world, url, with_trace)
        assert status == 200
        assert json.loads(body)["served_by"].startswith("inventory-")
    spans = await _trace(world, number, {"caller", "inventory"})
    assert len([span for span in spans if span.service == "caller"]) >= 2, (
        "both went through the caller's own Envoy"
    )


def test_a_job_completes_because_its_sidecar_ends_with_it(world: World) -> None:
    name = f"job-{uuid.uuid4().hex[:6]}"
    meta = pods.metadata(name, SHOP, labels=CALLER)
    command = ["python", "-c", GET, "http://inventory/stock", "{}", "0"]
    world.kube.apply(pods.job(meta, pods.spec(world.images.full("pillion"), command)))
    world.kube(
        "wait", "--for=condition=complete", f"job/{name}", f"--namespace={SHOP}", "--timeout=120s", within=130
    )
    (pod,) = world.kube.every("pods", SHOP, f"job-name={name}")
    assert pod["status"]["phase"] == "Succeeded"
    states = {one["name"]: one["state"] for one in pod["status"]["initContainerStatuses"]}
    assert states["pillion"]["terminated"]["exitCode"] == 0
    said = world.kube("logs", f"--namespace={SHOP}", f"job/{name}", "--container=main")
    assert json.loads(said)[0] == 200
    assert world.instances("caller") == [], "who only calls is not registered"
    world.kube.delete("job", name, SHOP)


def _called(world: World, url: str, headers: dict[str, str]) -> Any:
    """Status, headers and body of what a pod in the mesh gets from a URL."""
    name = f"call-{uuid.uuid4().hex[:6]}"
    body = pods.spec(
        world.images.full("pillion"), ["python", "-c", GET, url, json.dumps(headers), str(FLUSH)]
    )
    world.kube.apply(pods.pod(pods.metadata(name, SHOP, labels=CALLER), body))
    try:
        until(f"{name} ends", lambda: _ended(world, name), 90)
        return json.loads(world.kube("logs", f"--namespace={SHOP}", name, "--container=main"))
    finally:
        world.kube.delete("pod", name, SHOP, "--wait=false")


def _ended(world: World, name: str) -> bool:
    pod = world.kube.get("pod", name, SHOP)
    assert pod is not None
    assert pod["status"]["phase"] != "Failed", world.kube(
        "logs", f"--namespace={SHOP}", name, "--all-containers"
    )
    return bool(pod["status"]["phase"] == "Succeeded")


def _ok(answer: Answer) -> Answer | None:
    return answer if answer.status == 200 else None


def _checkout(world: World, sku: str, **headers: str) -> Any:
    answer = world.send(f"{world.gateway}/shop/checkout", "POST", {"sku": sku}, **headers)
    assert answer.status == 201, f"checkout answered {answer.status}: {answer.body[:300]}"
    return answer.json


async def _trace(world: World, number: str, wanted: set[str]) -> list[readings.Span]:
    async def whole() -> list[readings.Span]:
        spans = await readings.trace(world.jaeger, number)
        services = {span.service for span in spans}
        assert services >= wanted, f"spans of {services}"
        return spans

    return await until_async(whole, 30, every=0.5)
