"""What an agent tells of requests and of others' registrations, while everything runs."""

import json
import subprocess
import sys
import urllib.request
from typing import Any

from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.waiting import until


def explained(instance: Instance, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code of `pillion explain` beside this instance, and what it says."""
    argv = [sys.executable, "-m", "agent", "explain", *arguments, "--json", "--config", str(instance.file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def put(url: str, body: object) -> None:
    """Tell Consul."""
    request = urllib.request.Request(url, json.dumps(body).encode(), method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30):
        pass


async def test_a_request_is_explained_with_the_overrides_and_the_catalogue_of_the_moment(mesh: Mesh) -> None:
    """By the agent that runs; when it has ended, from Consul, with the same override."""
    orders = await mesh.service("orders", settings={"versions": {"serves": ["v1", "v2.1"]}}).ready()
    shop = await mesh.service("shop").ready()
    await shop.settled("orders", "shop")
    code, told = explained(shop, "GET", "http://orders/api/v2/x")
    assert (code, told["outcome"], told["version"]["version"], told["in_force"]) == (
        0,
        "routed",
        "v2.1",
        True,
    )
    assert told["source"] == f"the agent at 127.0.0.1:{shop.admin}"
    assert [one["address"] for one in told["instances"]] == [f"127.0.0.1:{orders.inbound}"]
    put(f"{mesh.consul.url}/v1/kv/pillion/shop", {"upstreams": {"orders": {"traffic": {"timeout": "7s"}}}})

    def timeout() -> str:
        return str(explained(shop, "GET", "http://orders/x")[1]["policies"]["timeouts"]["request"])

    await until(lambda: timeout() == "7s", within=20)
    code, told = explained(shop, "GET", "http://orders/api/v9/x")
    assert (code, told["status"]) == (1, shop.call("orders", "/api/v9/x"))
    shop.stop()
    code, told = explained(shop, "GET", "http://orders/x")
    assert (code, told["source"]) == (0, f"Consul at {mesh.consul.url}")
    assert told["policies"]["timeouts"]["request"] == "7s"


async def test_an_instance_that_nobody_can_call_is_told_and_costs_nothing_else(mesh: Mesh) -> None:
    """In status, metrics and once in the log; it goes with the registration."""
    orders = await mesh.service("orders").ready()
    shop = await mesh.service("shop").ready()
    await until(lambda: shop.call("orders") == 200)
    entry = {"ID": "bad", "Name": "orders", "Address": "169.254.169.254", "Port": 80}
    put(f"{mesh.consul.url}/v1/agent/service/register", entry)
    await until(lambda: shop.status()["review"]["problem_count"] == 1, within=20)
    status = shop.status()
    assert "'bad' of orders is left out" in status["review"]["problems"][0]
    await until(lambda: shop.status()["components"]["review"]["state"] == "degraded")
    await until(lambda: "pillion_plan_left_out 1.0" in shop.get("/metrics")[1])
    assert shop.is_ready()
    assert {shop.call("orders") for _ in range(10)} == {200}
    assert any("'bad' of orders" in note for note in explained(shop, "GET", "http://orders/")[1]["notes"])
    put(f"{mesh.consul.url}/v1/agent/service/deregister/bad", {})
    await until(lambda: shop.status()["components"]["review"]["state"] == "ok", within=20)
    assert shop.tail(100_000).count("plan.left_out") == 1
    assert orders.is_ready()
