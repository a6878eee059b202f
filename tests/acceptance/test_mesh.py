"""Whole sidecars and the gateway under traffic: balancing, failures of Envoy and of instances, versions, metrics."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import parser

from tests.acceptance.conftest import Mesh
from tests.acceptance.load import load
from tests.acceptance.test_registration import entries, passing
from tests.waiting import until


async def test_of_two_instances_one_is_killed_under_load_and_no_request_fails(mesh: Mesh) -> None:
    """Sidecar and service of one instance die at once, as with a lost machine; callers go on with the other.

    HEAD: gunicorn sends the body after the head, and an answer that dies between the two can't be asked for again.
    """
    gateway = mesh.gateway()
    doomed, other = mesh.service("orders", label="doomed"), mesh.service("orders", label="other")
    await doomed.ready()
    await other.ready()
    await gateway.ready()
    url = f"http://127.0.0.1:{gateway.gateway}/orders/"
    await until(lambda: gateway.get("/orders/", gateway.gateway)[0] == 200)
    async with load(url, method="HEAD") as record:
        await until(lambda: {"doomed", "other"} <= set(record.served_by) and record.sent > 100, within=60)
        victims = doomed.children()
        assert doomed.process is not None
        os.kill(doomed.process.pid, signal.SIGSTOP)
        for pid in victims.values():
            os.kill(pid, signal.SIGKILL)
        doomed.kill()
        sent = record.sent
        await until(lambda: record.sent > sent + 300, within=60)
    assert record.failures == []


async def test_a_crashed_envoy_is_back_on_the_same_ports_with_the_same_configuration(mesh: Mesh) -> None:
    orders = await mesh.service("orders").ready()
    before = orders.children()
    os.kill(before["envoy"], signal.SIGKILL)
    await until(lambda: orders.children().get("envoy") not in (None, before["envoy"]))
    await until(lambda: orders.get("/", orders.inbound)[0] == 200)
    await orders.ready()
    after = orders.children()
    assert (after["agent"], after["service"]) == (before["agent"], before["service"])


async def test_a_killed_supervisor_leaves_nothing_running(mesh: Mesh) -> None:
    orders = await mesh.service("orders").ready()
    pids = list(orders.children().values())
    orders.kill()
    await until(lambda: not any(_runs(pid) for pid in pids), within=40)
    await orders.start().ready()
    await until(lambda: len(entries(mesh.consul, "orders")) == 1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_each_request_reaches_only_instances_that_serve_its_version(mesh: Mesh) -> None:
    versions: dict[str, dict[str, Any]] = {
        "one": {"serves": ["v1"], "strip_prefix": True, "default": "v1"},
        "two": {"serves": ["v2.0", "v2.1"], "strip_prefix": True},
    }
    for label, offered in versions.items():
        mesh.service("orders", label=label, settings={"versions": offered})
    gateway = mesh.gateway()
    for instance in mesh.instances:
        await instance.ready()
    base = f"http://127.0.0.1:{gateway.gateway}"
    await until(lambda: len(passing(mesh.consul, "orders")) == 2)
    for path in (
        "/api/versions",
        "/orders/api/v1/",
        "/orders/api/v2/",
    ):  # it may learn of one before the other
        await until(lambda path=path: gateway.get(path, gateway.gateway)[0] == 200)
    async with aiohttp.ClientSession() as session:

        async def served(path: str, **headers: str) -> tuple[int, set[str], set[str]]:
            """Status, serving instances and version headers of ten requests."""
            names, said, status = set(), set(), 0
            for _ in range(10):
                async with session.get(
                    base + path, headers={name.replace("_", "-"): value for name, value in headers.items()}
                ) as answer:
                    status = answer.status
                    names.add(answer.headers.get("x-served-by", ""))
                    said.add(answer.headers.get("x-api-version", ""))
            return status, names, said

        assert await served("/orders/", X_API_Version="1") == (200, {"one"}, {"v1"})
        assert await served("/orders/", X_API_Version="2") == (200, {"two"}, {"v2.1"})
        assert await served("/orders/", X_API_Version="v2.0") == (200, {"two"}, {"v2.0"})
        assert await served("/orders/api/v1/") == (200, {"one"}, {"v1"})
        assert await served("/orders/api/v2/") == (200, {"two"}, {"v2.1"})
        assert await served("/orders/", Accept="application/vnd.shop.v1+json") == (200, {"one"}, {"v1"})
        assert await served("/orders/") == (200, {"one"}, {"v1"})
        async with session.get(f"{base}/orders/", headers={"X-API-Version": "3"}) as answer:
            assert answer.status == 404
            assert answer.content_type == "application/problem+json"
            assert "v2.1" in await answer.text()
        async with session.get(f"{base}/api/versions") as answer:
            assert "v1" in json.dumps(await answer.json())


async def test_one_scrape_holds_the_agents_and_envoys_metrics_and_is_valid(mesh: Mesh) -> None:
    orders = await mesh.service("orders").ready()
    assert orders.get("/", orders.inbound)[0] == 200
    code, text = orders.get("/metrics")
    assert code == 200
    assert list(parser.text_string_to_metric_families(text))
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(families) == len(set(families))
    assert any(name.startswith("envoy_") for name in families)
    assert any(name.startswith("pillion_") for name in families)


async def test_a_service_is_found_by_name_through_the_sidecar_and_an_explicit_port(mesh: Mesh) -> None:
    inventory = await mesh.service("inventory").ready()
    shop = await mesh.service("shop", settings={"upstreams": {"inventory": {"port": 0}}}).ready()
    for host in ("inventory", "inventory.service.consul", "INVENTORY.pillion.", "inventory:80"):
        await until(lambda host=host: shop.call(host) == 200)
    port = shop.status()["ports"]["upstream.inventory"]
    await until(lambda: shop.get("/", port)[0] == 200)
    direct, called = inventory.get("/", inventory.inbound)[1], shop.get("/", port)[1]
    assert json.loads(called)["pid"] == json.loads(direct)["pid"]
