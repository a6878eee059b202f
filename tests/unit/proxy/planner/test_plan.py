"""What holds for every plan."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Deprecation, Offer, Version
from agent.proxy import assets
from agent.proxy.planner import conflicts, plan, plan_gateway, problems, strangers, targets
from agent.proxy.planner.endpoints import load_assignment
from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.encode import Encoded, Encoder
from tests.unit.proxy.planner import sample

FRAGMENTS = assets.load()

nasty = st.sampled_from(
    [
        "",
        "orders",
        "*",
        "*.com",
        "localhost",
        "a.b.svc",
        "%REQ(x)%",
        "�",
        "a\r\nb: c",
        "{version}",
        "/",
        "10.0.0.1",
        "::1",
    ]
)
texts = nasty | st.text(st.characters(), max_size=30) | st.from_regex(r"\A[a-z0-9-]{1,12}\Z")
numbers = st.integers(-(2**70), 2**70) | st.integers(-1, 12)
versions = st.builds(Version, numbers, numbers)
deprecations = st.builds(Deprecation, st.none() | numbers, st.none() | numbers, texts)
offers = st.builds(
    Offer,
    st.lists(versions, max_size=5).map(tuple),
    st.none() | versions,
    st.dictionaries(versions, deprecations, max_size=3),
    st.booleans(),
)
addresses = st.builds(Address, texts | st.ip_addresses().map(str), numbers | st.integers(0, 65535))
instances = st.builds(Instance, texts, addresses, offers, texts, texts)
paths = texts | st.text("/{}verson%?#.*", max_size=30)
services = st.builds(
    Service,
    texts,
    st.lists(instances, max_size=4).map(tuple),
    st.lists(paths, max_size=4).map(tuple),
    st.lists(texts, max_size=3).map(tuple),
    st.booleans(),
)
catalogs = st.builds(
    Catalog, st.dictionaries(texts, services, max_size=5), st.lists(texts, max_size=4).map(tuple)
)


@given(catalogs)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_no_catalogue_makes_planning_fail_or_becomes_more_than_text(catalog: Catalog) -> None:
    """It all comes from others: the plan is made, all of it can be encoded, and nothing of it is a template."""
    given_settings = sample.settings(
        {
            **sample.RICH,
            "kubernetes": {"namespaces": ["orders", "pillion"]},
            "outbound": {"dns": "127.0.0.1:15053", "policy": "registry_only"},
        }
    )
    for snapshot in (
        plan(given_settings, catalog, FRAGMENTS),
        plan_gateway(given_settings, catalog, FRAGMENTS),
    ):
        encode(snapshot)
        check_domains(snapshot)
        check_headers(snapshot)
    problems(catalog)
    conflicts(catalog)


def encode(snapshot: Snapshot) -> None:
    """As delivery does it: nothing is refused."""
    assert isinstance([*Encoder().steps(snapshot)][-1], Encoded)


def check_domains(snapshot: Snapshot) -> None:
    """Each domain once, none with a wildcard except this machine's and the last host's."""
    for configuration in snapshot.routes.values():
        hosts = configuration["virtual_hosts"]
        domains = [one for host in hosts for one in host["domains"]]
        assert len(domains) == len(set(domains))
        theirs = [one for host in hosts if host["name"] != "machine" for one in host["domains"]]
        assert all(re.fullmatch(r"[a-z0-9.-]+", one) for one in theirs if one != "*")


def check_headers(snapshot: Snapshot) -> None:
    """No header of ours is a template, apart from those that tell the gateway's host and client."""
    for option in found(snapshot.routes, "response_headers_to_add") + found(
        snapshot.routes, "request_headers_to_add"
    ):
        value = option["header"]["value"]
        assert value.isprintable()
        for told in (strangers.HOST, strangers.CLIENT):
            value = value.replace(told, "")
        assert "%" not in value.replace("%%", "")


def found(value: Any, key: str) -> list[Any]:
    """All that stands in lists of this name."""
    if isinstance(value, dict):
        return [one for name, inner in value.items() for one in (inner if name == key else found(inner, key))]
    return [one for inner in value for one in found(inner, key)] if isinstance(value, list) else []


def test_equal_input_gives_an_equal_plan_in_any_order() -> None:
    given_settings = sample.settings(sample.RICH)
    turned = Catalog(
        {
            name: Service(name, tuple(reversed(one.instances)), one.routes)
            for name, one in reversed(sample.CATALOG.services.items())
        },
        sample.CATALOG.left_out,
    )
    assert (
        plan(given_settings, sample.CATALOG, FRAGMENTS).hash == plan(given_settings, turned, FRAGMENTS).hash
    )


def test_planning_never_changes_the_fragments() -> None:
    before = json.dumps(dict(FRAGMENTS.content))
    plan(sample.settings(sample.RICH), sample.CATALOG, FRAGMENTS)
    plan_gateway(sample.settings(sample.RICH), sample.CATALOG, FRAGMENTS)
    assert json.dumps(dict(FRAGMENTS.content)) == before


def test_all_that_is_left_out_is_said() -> None:
    catalog = Catalog(
        {
            "localhost": Service("localhost", ()),
            "good": Service("good", (Instance("i", Address("host.example", 80)),), ("/a?b",)),
        }
    )
    said = problems(catalog)
    assert len(said) == 3
    assert "'localhost'" in said[2] or "'localhost'" in said[1]
    assert any("host.example:80" in one for one in said)
    assert any("'/a?b'" in one for one in said)
    assert problems(sample.CATALOG) == ()


def test_who_gets_a_path_that_two_services_ask_for_is_said() -> None:
    catalog = Catalog({name: Service(name, (), ("/same", f"/{name}")) for name in ("b", "a")})
    assert conflicts(catalog) == ("Both a and b ask for /same: a gets it.",)
    assert conflicts(sample.CATALOG) == ()


def within(*namespaces: str, known: tuple[str, ...] = ()) -> Catalog:
    """One service with an instance in each namespace."""
    found = tuple(
        Instance(f"i-{n}", Address(f"10.0.0.{n}", 80), namespace=one) for n, one in enumerate(namespaces, 1)
    )
    return Catalog({"orders": Service("orders", found, namespaces=known)})


def hosts(catalog: Catalog, over: Mapping[str, Any] | None = None) -> dict[str, list[str]]:
    """The domains of the outbound's virtual hosts, without the last two: this machine and all others."""
    found = plan(sample.settings(over), catalog, FRAGMENTS).routes["outbound"]["virtual_hosts"]
    return {one["name"]: one["domains"] for one in found[:-2]}


PLAIN = ["orders", "orders.service.consul", "orders.pillion"]


def test_a_service_in_one_namespace_has_its_kubernetes_names() -> None:
    expected = [*PLAIN, "orders.shop.svc", "orders.shop.svc.cluster.local"]
    assert hosts(within("shop", "shop")) == {"orders": expected}
    assert hosts(within(known=("shop",))) == {"orders": expected}, "no passing instance, the same names"


def test_in_several_namespaces_each_name_leads_to_its_own_instances_only() -> None:
    catalog = within("shop", "test", "shop", "")
    assert hosts(catalog) == {
        "orders": PLAIN,
        "orders.shop": ["orders.shop.svc", "orders.shop.svc.cluster.local"],
        "orders.test": ["orders.test.svc", "orders.test.svc.cluster.local"],
    }
    snapshot = plan(sample.settings(), catalog, FRAGMENTS)

    def addresses(cluster: str) -> list[str]:
        localities = snapshot.endpoints[cluster]["endpoints"]
        endpoints = [one["endpoint"]["address"] for each in localities for one in each["lb_endpoints"]]
        return [one["socket_address"]["address"] for one in endpoints]

    assert addresses("upstream_orders_shop") == ["10.0.0.1", "10.0.0.3"]
    assert addresses("upstream_orders_test") == ["10.0.0.2"]
    assert len(addresses("upstream_orders")) == 4


@pytest.mark.parametrize("identity", [{"namespace": "shop"}, {"namespaces": ["shop"]}])
def test_name_and_namespace_mean_a_service_where_the_operator_says_so(identity: dict[str, Any]) -> None:
    assert "orders.shop" in hosts(within("shop"), {"kubernetes": identity})["orders"]
    assert "orders.com" not in hosts(within("com"), {"kubernetes": identity})["orders"]


def test_a_namespace_that_is_none_captures_nothing_and_is_said() -> None:
    catalog = within("amazonaws.com", "*")
    assert hosts(catalog) == {"orders": PLAIN}
    assert len(problems(catalog)) == 2


def test_the_own_zone_comes_first_and_no_priority_is_missing() -> None:
    orders = next(one for one in targets.targets(sample.CATALOG) if one.name == "orders")

    def priorities(zone: str) -> list[tuple[str, int]]:
        assignment = load_assignment(orders, zone)
        return [(one["locality"]["zone"], one["priority"]) for one in assignment["endpoints"]]

    assert priorities("b") == [("b", 0), ("a", 1)]
    assert priorities("c") == [("a", 0), ("b", 0)]
    assert priorities("") == [("a", 0), ("b", 0)]


def test_a_machine_that_is_called_like_a_service_leaves_the_name_to_the_service() -> None:
    """As a container of Compose is; Envoy refuses a domain that stands twice."""
    hosts = ("orders", "Orders", "stock.pillion", "own.example.", "bad name", "*", "127.0.0.1", "2001:db8::1")
    found = plan(sample.settings(), sample.CATALOG, FRAGMENTS, hosts).routes["outbound"]["virtual_hosts"]
    machine = next(one for one in found if one["name"] == "machine")
    assert {"own.example", "[2001:db8::1]", "localhost", "127.*"} <= set(machine["domains"])
    assert not {"orders", "stock.pillion", "bad name", "*", "127.0.0.1"} & set(machine["domains"])


def test_many_explicit_ports_need_no_long_pattern() -> None:
    """Envoy refuses a regular expression whose program is longer than 100."""
    ports = {f"s-{n}": {"port": 15100 + n} for n in range(100)}
    snapshot = plan(sample.settings({"upstreams": ports}), Catalog(), FRAGMENTS)
    patterns = found(snapshot.routes, "headers")
    assert not [one for one in patterns if "15100" in json.dumps(one) and "safe_regex" in json.dumps(one)]
