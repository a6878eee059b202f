"""The bootstrap that is filled in."""

import copy
from pathlib import Path
from typing import Any

import pytest

from agent.proxy import assets
from agent.proxy.bootstrap import Node, bootstrap, otlp_cluster

FRAGMENT = assets.load().copy("bootstrap")


def filled(**more: Any) -> dict[str, Any]:
    """A bootstrap of the real fragment."""
    return bootstrap(
        FRAGMENT, node=Node("id-1", "orders", "z1"), admin=Path("/s/a.sock"), xds=Path("/s/x.sock"), **more
    )


def test_node_and_sockets_are_filled_in_and_the_fragment_stays_as_it_was() -> None:
    before = copy.deepcopy(FRAGMENT)
    found = filled(heap_limit=1)
    assert found["node"] == {"id": "id-1", "cluster": "orders", "locality": {"zone": "z1"}}
    assert found["admin"]["address"]["pipe"]["path"] == "/s/a.sock"
    [xds] = found["static_resources"]["clusters"]
    [endpoint] = xds["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"] == {"pipe": {"path": "/s/x.sock"}}
    assert before == FRAGMENT


def test_the_heap_limit_is_set_or_removed_with_all_that_it_triggers() -> None:
    limited = filled(heap_limit=123)["overload_manager"]
    assert limited["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"] == 123
    assert limited["actions"]
    free = filled(heap_limit=0)["overload_manager"]
    assert [one["name"] for one in free["resource_monitors"]] == [
        "envoy.resource_monitors.global_downstream_max_connections"
    ]
    assert free["actions"] == []


@pytest.mark.parametrize(
    ("endpoint", "kind", "host", "port", "tls"),
    [
        ("http://127.0.0.1:4318", "STATIC", "127.0.0.1", 4318, False),
        ("http://jaeger", "STRICT_DNS", "jaeger", 80, False),
        ("https://collector.example/otlp", "STRICT_DNS", "collector.example", 443, True),
        ("https://[::1]:4318", "STATIC", "::1", 4318, True),
    ],
)
def test_spans_go_to_the_endpoint(endpoint: str, kind: str, host: str, port: int, tls: bool) -> None:
    cluster = otlp_cluster(endpoint)
    [one] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert one["endpoint"]["address"]["socket_address"] == {"address": host, "port_value": port}
    assert cluster["type"] == kind
    assert ("transport_socket" in cluster) == tls


@pytest.mark.parametrize("endpoint", ["jaeger:4318", "grpc://jaeger:4317", "http://", "/x"])
def test_what_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="http or https URL"):
        filled(otlp=endpoint)


def test_without_an_endpoint_there_is_no_cluster_for_spans() -> None:
    assert [one["name"] for one in filled()["static_resources"]["clusters"]] == ["xds"]
