"""What a whole system tells of itself: two services, the gateway, a value changed in Consul."""

import json
import subprocess
import sys
import time
import urllib.request
from statistics import median
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import figures
from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.test_configuration import put
from tests.bench.footprint import cpu
from tests.integration.admin.browser import opened, visit
from tests.integration.metrics.admin import all_of_envoy
from tests.waiting import until

TELLS = {"admin": {"metrics": "127.0.0.1:0"}}


def changes(instance: Instance, subject: str) -> list[tuple[str, str]]:
    """Outcome and detail of the changes of a kind, newest first."""
    found = instance.status()["history"]["changes"]
    return [(one["outcome"], one["detail"]) for one in found if one["subject"] == subject]


def edges(gateway: Instance) -> dict[tuple[str, str], int]:
    """Who calls whom, as the gateway has gathered it."""
    return {(one["caller"], one["called"]): one["requests"] for one in gateway.status()["system"]["calls"]}


async def test_a_system_tells_who_calls_whom_what_was_changed_and_how_the_upstreams_are(mesh: Mesh) -> None:
    store: dict[str, Any] = {"store": {"file": str(mesh.folder / "settings.json"), "format": "json"}}
    orders = mesh.service("orders", settings={**TELLS, "versions": {"serves": ["v1", "v2"]}})
    shop = mesh.service("shop", settings={**TELLS, **store, "upstreams": {"orders": {}}})
    gateway = mesh.gateway()
    for instance in (orders, shop, gateway):
        await instance.ready()
    await until(lambda: shop.call("orders") == 200, within=30)
    await until(lambda: gateway.get("/shop/", gateway.gateway)[0] == 200, within=30)

    put(mesh, "config/shop/GREETING", "a value that nobody is to see")
    await until(lambda: ("accepted", "GREETING") in changes(shop, "values for the service"), within=30)
    put(mesh, "pillion/shop", "{traffic: {retries: -1}}")
    await until(lambda: changes(shop, "live settings"), within=30)
    put(mesh, "pillion/shop", "{traffic: {retries: 1}}")
    await until(lambda: changes(shop, "live settings")[0][0] == "accepted", within=30)
    assert changes(shop, "live settings")[1][0] == "refused"
    assert "retries" in changes(shop, "live settings")[1][1]
    assert any(outcome == "accepted" for outcome, _ in changes(shop, "Envoy's configuration"))

    await until(lambda: {("shop", "orders"), ("gateway", "shop")} <= set(edges(gateway)), within=30)
    await until(lambda: gateway.status()["system"]["untold"] == 0)
    await until(lambda: shop.status()["traffic"]["orders"]["requests"] >= 1)
    await _called_slowly_enough(shop)

    argv = [sys.executable, "-m", "agent", "status", "--config", str(shop.file)]
    told = subprocess.run(argv, env=shop.environ, capture_output=True, text=True, check=True).stdout
    for part in ("Calls to", "closed", "values for the service", "Slowest of the last hour", "accepted"):
        assert part in told, told
    assert "nobody is to see" not in told + str(shop.status())

    async with opened() as browser:
        beside = await visit(browser, f"http://127.0.0.1:{shop.admin}/")
        text = await beside.page.inner_text("body")
        assert "circuit closed" in text
        assert "GREETING" in text
        await beside.picture("real-instance")
        before = await visit(browser, f"http://127.0.0.1:{gateway.admin}/")
        assert await before.page.locator("svg.graph g.edge").count() >= 2
        assert "v1, v2" in await before.page.inner_text("body")
        await before.picture("real-gateway")
        assert beside.said + before.said == []


async def _called_slowly_enough(shop: Instance) -> None:
    """Calls go on until the agent has seen the histograms of some."""

    def seen() -> bool:
        shop.call("orders")
        return "calls to orders" in {one["operation"] for one in shop.status()["history"]["slowest"]}

    await until(seen, within=60, every=0.5)


@pytest.mark.exclusive
async def test_a_scrape_with_100_upstreams_is_small_valid_and_costs_less_than_30_ms(mesh: Mesh) -> None:
    """Of the machine's time, agent and Envoy together: on a quiet one it is there as soon."""
    for number in range(100):
        register(mesh, f"s{number:03}x", 20000 + number)
    shop = await mesh.service("shop", settings={"upstreams": {"*": {}}}).ready()
    await until(lambda: len(shop.status()["upstreams"]) >= 100, within=60)
    await until(lambda: 'envoy_cluster_name="upstream_s099x"' in shop.get("/metrics")[1], within=60)
    took = {path: measured(shop, path) for path in ("/metrics", "/")}
    text = shop.get("/metrics")[1]
    whole = len(all_of_envoy(shop))
    figures.keep("scrape", {**took, "bytes": len(text), "bytes_of_all_that_envoy_has": whole})
    types = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    assert sum(len(family.samples) for family in text_string_to_metric_families(text)) > 1000
    assert len(text) < 200_000
    assert len(text) < whole / 5
    assert took["/metrics"]["cpu_ms"] <= 30
    assert took["/metrics"]["least_ms"] <= 30
    assert took["/"]["cpu_ms"] <= 100


def measured(instance: Instance, path: str, times: int = 20) -> dict[str, float]:
    """Milliseconds for one answer: of CPU, agent and Envoy together, and until it is there."""
    children = instance.children()
    before = sum(cpu(children[name]) for name in ("agent", "envoy"))
    waits = [timed(instance, path) for _ in range(times)]
    used = sum(cpu(children[name]) for name in ("agent", "envoy")) - before
    return {
        "cpu_ms": round(used * 1000 / times, 1),
        "median_ms": round(median(waits), 1),
        "least_ms": round(min(waits), 1),
    }


def register(mesh: Mesh, name: str, port: int) -> None:
    """A service without a check, which passes."""
    body = json.dumps({"Name": name, "Port": port, "Address": "127.0.0.1"}).encode()
    request = urllib.request.Request(f"{mesh.consul.url}/v1/agent/service/register", data=body, method="PUT")
    urllib.request.urlopen(request, timeout=5).close()


def timed(instance: Instance, path: str) -> float:
    """Milliseconds until the whole answer is there."""
    began = time.perf_counter()
    assert instance.get(path)[0] == 200
    return (time.perf_counter() - began) * 1000
