"""Which addresses of the catalogue are used."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway, problems, reach
from agent.proxy.snapshot import Snapshot
from tests.unit.proxy.planner import sample

FAR = {"registry": {"address": "http://10.0.0.5:8500"}}
NEAR = {"registry": {"address": "http://127.0.0.1:8500"}}


def with_loopback(given: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """Settings with `registry.loopback`."""
    return {**given, "registry": {**given["registry"], "loopback": setting}}


@pytest.mark.parametrize(
    ("over", "used"),
    [
        (NEAR, True), ({"registry": {"address": "localhost:8500"}}, True),
        ({"registry": {"address": "[::1]:8500"}}, True),
        (FAR, False), ({"registry": {"address": "https://consul.example"}}, False),
        (with_loopback(FAR, "allow"), True), (with_loopback(NEAR, "refuse"), False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_a_loopback_address_is_used_only_where_all_may_be_one_machine(
    over: Mapping[str, Any], used: bool, host: str
) -> None:
    """Its meaning depends on who reads it; another's is refused in words."""
    settings = sample.settings(over)
    known = Catalog({"orders": Service("orders", (Instance("i", Address(host, 80)),))})
    for snapshot in (
        plan(settings, known, assets.load()),
        plan_gateway(settings, known, assets.load()),
    ):
        assert addresses(snapshot) == ([(host, 80)] if used else [])
    said = problems(known, reach.sidecar(settings))
    assert bool(said) is not used
    assert all("loopback" in one and "registry.loopback" in one for one in said)


def addresses(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Where the requests for `orders` go."""
    endpoints = snapshot.endpoints["upstream_orders"]["endpoints"]
    sockets = [
        each["endpoint"]["address"]["socket_address"] for one in endpoints for each in one["lb_endpoints"]
    ]
    return [(one["address"], one["port_value"]) for one in sockets]


def test_no_instance_is_at_a_listener_that_leads_back() -> None:
    """A request for it would go round; the inbound is an instance like any other."""
    settings = sample.settings(
        {
            "proxy": {"outbound": "127.0.0.1:15001", "inbound": "0.0.0.0:15006"},
            "upstreams": {"*": {}, "orders": {"port": 15100}},
            "service": {"name": "shop", "port": 8000, "address": "10.0.0.7"},
            "gateway": {"listen": "0.0.0.0:10000"},
        }
    )
    places = [
        (host, port) for host in ("127.0.0.1", "10.0.0.7") for port in (15001, 15100, 15020, 15006, 10000)
    ]
    known = Catalog(
        {"orders": Service("orders", tuple(Instance(f"{a}:{p}", Address(a, p)) for a, p in places))}
    )
    inside = addresses(plan(settings, known, assets.load()))
    assert sorted({port for _, port in inside}) == [10000, 15006]
    outside = addresses(plan_gateway(settings, known, assets.load()))
    assert sorted({port for _, port in outside}) == [15001, 15006, 15100]
    said = problems(known, reach.sidecar(settings))
    assert len(said) == 6
    assert all("a listener of this agent's own" in one for one in said)
