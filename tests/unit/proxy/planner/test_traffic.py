"""What the settings say of one upstream becomes clusters and routes."""

from collections.abc import Mapping
from typing import Any

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer, Version
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway
from agent.proxy.planner.traffic import treatment
from agent.proxy.snapshot import Resource
from tests.unit.proxy.planner import sample

FRAGMENTS = assets.load()
ORDERS = Catalog({"orders": Service("orders", (Instance("o", Address("10.0.0.1", 80)),))})


def cluster(over: Mapping[str, Any]) -> Resource:
    """The cluster of `orders`."""
    return plan(sample.settings(over), ORDERS, FRAGMENTS).clusters["upstream_orders"]


def handlings(upstreams: Mapping[str, Any]) -> list[tuple[str, float, int]]:
    """Prefix, timeout and retries of the requests to `orders`."""
    given = sample.settings({"traffic": {"timeout": 9, "retries": 1}, "upstreams": upstreams})
    return [(one.prefix, one.timeout, one.retries) for one in treatment(given, "orders").handlings]


def test_paths_of_all_upstreams_hold_where_an_upstream_does_not_say_otherwise() -> None:
    everyone = {"paths": [{"prefix": "/slow", "timeout": 60}, {"prefix": "/health/", "retries": 0}]}
    own = {"paths": [{"prefix": "/health", "retries": 5}, {"prefix": "/slow/er", "timeout": 90}]}
    expected = [("/slow/er", 90.0, 1), ("/health", 9.0, 5), ("/slow", 60.0, 1), ("/", 9.0, 1)]
    assert handlings({"*": everyone, "orders": own}) == expected
    assert handlings({"*": everyone, "orders": {"port": 7000}}) == handlings({"*": everyone})
    assert handlings({"*": {}, "orders": {"paths": [{"prefix": "/", "timeout": 3}]}}) == [("/", 3.0, 1)]


def test_health_checks_are_there_only_where_a_path_is_given() -> None:
    assert "health_checks" not in cluster({})
    (check,) = cluster(
        {"upstreams": {"orders": {"traffic": {"check_path": "/live?deep", "check_interval": 3}}}}
    )["health_checks"]
    assert check["http_health_check"]["path"] == "/live?deep"
    assert check["http_health_check"]["host"] == "orders"
    assert (check["interval"], check["no_traffic_interval"], check["timeout"]) == ("3s", "18s", "1s")


def test_a_sidecar_answers_checks_of_its_services_own_health_path_only() -> None:
    def filters(service: Mapping[str, Any]) -> list[Resource]:
        given = sample.settings({"service": {"name": "shop", "port": 8000, **service}})
        chain = plan(given, ORDERS, FRAGMENTS).listeners["inbound"]["filter_chains"][0]
        found: list[Resource] = chain["filters"][0]["typed_config"]["http_filters"]
        return found

    assert "envoy.filters.http.health_check" not in [one["name"] for one in filters({})]
    first = filters({"health_path": "/health", "health_interval": 5})[0]
    assert first["typed_config"]["cache_time"] == "5s"
    assert {"name": ":path", "string_match": {"exact": "/health"}} in first["typed_config"]["headers"]


def test_ejection_by_gateway_failures_leaves_a_services_own_errors_alone() -> None:
    detection = cluster({"traffic": {"ejection_on": "gateway", "ejection_failures": 7}})["outlier_detection"]
    assert detection["enforcing_consecutive_5xx"] == 0
    assert detection["consecutive_gateway_failure"] == 7
    assert cluster({})["outlier_detection"]["enforcing_consecutive_5xx"] == 100
    assert "outlier_detection" not in cluster({"traffic": {"ejection_failures": 0}})


def test_who_rested_long_enough_is_looked_for_as_often_as_the_time_of_rest_asks() -> None:
    def interval(time: float) -> str:
        return str(cluster({"traffic": {"ejection_time": time}})["outlier_detection"]["interval"])

    assert [interval(time) for time in (0.001, 2, 30, 100_000)] == ["0.1s", "2s", "5s", "5s"]


def test_a_path_counts_also_below_a_prefix_with_a_version_in_it() -> None:
    offer = Offer((Version(1), Version(2)))
    known = Catalog(
        {
            "orders": Service(
                "orders", (Instance("o", Address("10.0.0.1", 80), offer),), ("/api/{version}/orders",)
            )
        }
    )
    over = {"upstreams": {"orders": {"paths": [{"prefix": "/api/v2/orders/big", "timeout": 60}]}}}
    for catalog in (known, Catalog({"orders": Service("orders", (), ("/api/{version}/orders",))})):
        (host,) = plan_gateway(sample.settings(over), catalog, FRAGMENTS).routes["gateway"]["virtual_hosts"]
        patient = [one for one in host["routes"] if one.get("route", {}).get("timeout") == "60s"]
        assert patient
        wanted = {"name": ":path", "string_match": {"safe_regex": {"regex": "/api/v2/orders/big(?:[/?].*)?"}}}
        assert all(wanted in one["match"]["headers"] for one in patient)
        first = next(n for n, one in enumerate(host["routes"]) if one in patient)
        general = next(
            n for n, one in enumerate(host["routes"]) if one.get("route", {}).get("timeout") == "0s"
        )
        assert first < general
