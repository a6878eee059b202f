"""Live settings in Consul's KV, for a sidecar and for a gateway, under load."""

import json
import re
from typing import Any

from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.acceptance.test_configuration import put
from tests.waiting import until


def changes(instance: Instance, outcome: str) -> float:
    """How often the live override was accepted, removed or refused."""
    text = instance.get("/metrics")[1]
    found = re.search(rf'^pillion_override_changes_total{{outcome="{outcome}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_a_gateway_takes_its_live_settings_from_its_own_key_and_drops_no_request(mesh: Mesh) -> None:
    """A timeout for one path, limits and checks for all; a bad document is refused; without one all is as before."""
    await mesh.service("orders", settings={"service": {"health_path": "/health"}}).ready()
    gateway = await mesh.gateway().ready()
    slow = lambda: gateway.get("/orders/slow?seconds=0.6", gateway.gateway)[0]  # noqa: E731
    await until(lambda: slow() == 200)
    document: dict[str, Any] = {
        "traffic": {"max_requests": 500, "ejection_failures": 9},
        "upstreams": {
            "orders": {
                "traffic": {"check_path": "/health", "check_interval": "200ms"},
                "paths": [{"prefix": "/slow", "timeout": "200ms"}],
            }
        },
    }
    async with load(f"http://127.0.0.1:{gateway.gateway}/orders/") as record:
        await until(lambda: record.sent > 50)
        put(mesh, "pillion/gateway", json.dumps(document))
        await until(lambda: slow() == 504)
        assert changes(gateway, "accepted") == 1
        await until(lambda: "envoy_cluster_health_check_attempt" in gateway.get("/metrics")[1])
        put(mesh, "pillion/gateway", json.dumps({"traffic": {"retries": 99}}))
        await until(lambda: changes(gateway, "refused") == 1)
        assert "from 0 to 10" in json.dumps(gateway.status()["components"])
        assert slow() == 504
        put(mesh, "pillion/gateway", "{}")
        await until(lambda: slow() == 200)
        sent = record.sent
        await until(lambda: record.sent > sent + 50)
    assert record.failures == []


async def test_a_gateway_with_a_name_of_its_own_has_a_key_of_its_own(mesh: Mesh) -> None:
    """Several gateways so differ; it may change what its file does not name."""
    await mesh.service("orders").ready()
    own = {"service": {"name": "front-door"}, "upstreams": {"stock": {}}}
    gateway = await mesh.gateway(own).ready()
    slow = lambda: gateway.get("/orders/slow?seconds=0.6", gateway.gateway)[0]  # noqa: E731
    await until(lambda: slow() == 200)
    put(mesh, "pillion/gateway", json.dumps({"traffic": {"timeout": "200ms"}}))
    put(mesh, "pillion/front-door", json.dumps({"upstreams": {"orders": {"traffic": {"retries": 1}}}}))
    await until(lambda: changes(gateway, "accepted") == 1)
    assert slow() == 200
    put(mesh, "pillion/front-door", json.dumps({"upstreams": {"orders": {"traffic": {"timeout": "200ms"}}}}))
    await until(lambda: slow() == 504)


async def test_a_sidecars_live_settings_change_under_load_without_a_failed_call(mesh: Mesh) -> None:
    """From KV to the real Envoy and back, with its own counters in its scrape."""
    await mesh.service("inventory", settings={"service": {"health_path": "/health"}}).ready()
    shop = await mesh.service("shop", settings={"upstreams": {"inventory": {"port": 0}}}).ready()
    port = shop.status()["ports"]["upstream.inventory"]
    await until(lambda: shop.get("/", port)[0] == 200)
    documents: list[dict[str, Any]] = [
        {"traffic": {"connect_timeout": 2, "max_connections": 100, "max_pending": 100}},
        {"upstreams": {"inventory": {"traffic": {"balance": "round_robin", "ejection_time": 5}}}},
        {"traffic": {"check_path": "/health", "check_interval": "200ms", "timeout": 9, "per_try_timeout": 5}},
        {},
    ]
    async with load(f"http://127.0.0.1:{port}/", method="GET") as record:
        for number, document in enumerate(documents, 1):
            sent = record.sent
            put(mesh, "pillion/shop", json.dumps(document))
            await until(lambda number=number: changes(shop, "accepted") == number)
            await until(lambda sent=sent: record.sent > sent + 50)
            if "check_path" in document.get("traffic", {}):
                checked = 'envoy_cluster_health_check_attempt{envoy_cluster_name="upstream_inventory"}'
                await until(lambda checked=checked: checked in shop.get("/metrics")[1])
    assert record.failures == []
