"""Which version a request gets by the planned routes."""

from typing import Any

from hypothesis import given, settings

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance
from agent.model.catalog import Service as Registered
from agent.model.version import Deprecation, Offer, Version
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway
from agent.proxy.planner.direct import LARGEST_BODY
from agent.proxy.planner.listing import services as listed
from agent.proxy.planner.targets import targets
from agent.proxy.snapshot import Resource, Snapshot
from tests.unit.proxy.planner import sample
from tests.unit.proxy.planner.routing import Outcome, Request, outcome
from tests.unit.proxy.planner.wanted import Service, Wanted, services, wanted

FRAGMENTS = assets.load()


def known(service: Service, *routes: str) -> Catalog:
    """The service with an instance for each version, and one that serves all."""
    offers = [Offer((version,), service.default) for version in service.offered]
    offers.append(Offer(tuple(sorted(service.offered)), service.default))
    instances = [Instance(f"i-{n}", Address("10.0.0.1", n), offer) for n, offer in enumerate(offers, 1)]
    return Catalog({"orders": Registered("orders", tuple(instances), routes)})


def over(service: Service) -> dict[str, Any]:
    """The caller's settings."""
    pin = {"orders": {"version": str(service.pin)}} if service.pin else {}
    return {
        "versions": {"policy": "latest" if service.latest else "compatible"},
        "upstreams": {"*": {}, **pin},
    }


def routes(snapshot: Snapshot, name: str, host: str) -> list[Resource]:
    """The routes of a virtual host."""
    found: list[Resource] = next(
        one["routes"] for one in snapshot.routes[name]["virtual_hosts"] if one["name"] == host
    )
    return found


def check(got: Outcome, service: Service, asked: Wanted) -> None:
    """A request gets what the rule says, under a path that its version knows."""
    expected = service.expected(asked)
    if isinstance(expected, int):
        assert got.status == expected
        return
    assert (got.status, got.version) == (200, str(expected))
    if asked.url is None:
        assert got.path == "/x/api/v1?v=2"
    else:
        served = fitting_or(service, asked.url)
        assert got.path == f"/api/{served}/x?a=/api/v1/"


def fitting_or(service: Service, named: Version) -> Version:
    """What stands in the path: the version named, unless nothing fits it."""
    alone = Service(service.offered).expected(Wanted(url=named))
    return named if isinstance(alone, Version) else max(service.offered)


@given(services, wanted)
@settings(max_examples=300, deadline=None)
def test_the_routes_of_a_sidecar_give_each_request_the_version_that_the_rule_says(
    service: Service, asked: Wanted
) -> None:
    """By URL, header, Accept, pin, default: in any mixture, for any offer, with both policies."""
    snapshot = plan(sample.settings(over(service)), known(service), FRAGMENTS)
    check(outcome(routes(snapshot, "outbound", "orders"), asked.request()), service, asked)


@given(services, wanted)
@settings(max_examples=150, deadline=None)
def test_the_routes_of_a_gateway_do_the_same_below_the_services_prefix(
    service: Service, asked: Wanted
) -> None:
    snapshot = plan_gateway(sample.settings(over(service)), known(service), FRAGMENTS)
    check(outcome(routes(snapshot, "gateway", "gateway"), asked.request("/orders")), service, asked)


@given(services, wanted)
@settings(max_examples=150, deadline=None)
def test_the_routes_of_the_services_own_sidecar_refuse_what_the_rule_refuses(
    service: Service, asked: Wanted
) -> None:
    """Nobody's pin and policy count there, and there is one instance only."""
    own = Service(service.offered, service.default)
    default = {"default": str(own.default)} if own.default else {}
    serves = [str(one) for one in own.offered]
    given_settings = sample.settings({"versions": {"serves": serves, **default}})
    snapshot = plan(given_settings, Catalog(), FRAGMENTS)
    got = outcome(routes(snapshot, "inbound", "inbound"), asked.request())
    expected = own.expected(asked)
    assert got.status == (expected if isinstance(expected, int) else 200)


def test_what_was_read_of_accept_never_leaves_envoy() -> None:
    """Each route that is chosen by it removes it, and a service can't set it."""
    snapshot = plan(sample.settings(sample.RICH), sample.CATALOG, FRAGMENTS)
    by_accept = [
        one
        for name in ("outbound", "inbound")
        for host in snapshot.routes[name]["virtual_hosts"]
        for one in host["routes"]
        if any(
            matcher["name"] == "x-pillion-accept" and not matcher.get("invert_match")
            for matcher in one["match"].get("headers", ())
        )
    ]
    assert by_accept
    for one in by_accept:
        assert "direct_response" in one or one["request_headers_to_remove"] == ["x-pillion-accept"]
    for name in ("outbound", "inbound", "port_orders"):
        manager = snapshot.listeners[name]["filter_chains"][0]["filters"][0]["typed_config"]
        mutations = manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"]
        prefixes = {"remove_on_match": {"key_matcher": {"prefix": "x-pillion-"}}}
        assert {"remove": "x-pillion-accept"} in mutations or prefixes in mutations


def test_a_request_without_a_vendors_media_type_is_chosen_for_without_reading_accept() -> None:
    """It must cost next to nothing."""
    found = routes(plan(sample.settings(), sample.CATALOG, FRAGMENTS), "outbound", "orders")
    for accept in ("*/*", "application/json", "text/html, application/xhtml+xml;q=0.9"):
        plain = outcome(found, Request("/x", {"accept": accept}))
        assert plain == outcome(found, Request("/x")) == Outcome(200, "v2.1", "/x")


def test_an_instance_that_declares_nothing_takes_requests_that_name_nothing() -> None:
    """While a roll-out brings the first versions, or takes the last ones back, the old instances keep working."""
    both = Catalog(
        {
            "orders": Registered(
                "orders",
                (
                    Instance("new", Address("10.0.0.1", 1), Offer((Version(1), Version(2)), Version(1))),
                    Instance("old", Address("10.0.0.2", 2)),
                ),
            )
        }
    )
    snapshot = plan(sample.settings(), both, FRAGMENTS)
    found = routes(snapshot, "outbound", "orders")
    (locality,) = snapshot.endpoints["upstream_orders"]["endpoints"]
    subsets = [one["metadata"]["filter_metadata"]["envoy.lb"] for one in locality["lb_endpoints"]]
    assert subsets == [{"versions": ["v1", "v2"], "unnamed": "v1"}, {"versions": [], "unnamed": "v1"}]
    assert outcome(found, Request("/x")).version == "unnamed: v1"
    assert outcome(found, Request("/api/v1/x")).version == "v1", "who names a version gets it"
    pinned = plan(sample.settings({"upstreams": {"orders": {"version": "1"}}}), both, FRAGMENTS)
    assert outcome(routes(pinned, "outbound", "orders"), Request("/x")).version == "v1"


def test_a_pin_that_nothing_fits_is_told_as_the_callers_own() -> None:
    service = Service((Version(1),), pin=Version(9))
    found = routes(plan(sample.settings(over(service)), known(service), FRAGMENTS), "outbound", "orders")
    body = found[-1]["direct_response"]["body"]["inline_string"]
    assert "the caller's settings pin v9" in body


def test_the_list_of_all_services_stays_within_what_envoy_takes() -> None:
    """Its refusal would take all routes with it."""
    link = "https://docs.example/" + "x" * 380
    versions = tuple(Version(1, minor) for minor in range(32))
    offer = Offer(versions, None, {one: Deprecation(1, 2, link) for one in versions})
    many = Catalog(
        {f"s-{n}": Registered(f"s-{n}", (Instance("i", Address("10.0.0.1", 1), offer),)) for n in range(300)}
    )
    body = listed(targets(many))
    assert len(body["services"]) == 300
    assert "link" not in str(body)
    snapshot = plan_gateway(sample.settings(), many, FRAGMENTS)
    (listed_there,) = (one for one in routes(snapshot, "gateway", "gateway") if one["name"] == "versions")
    answer = listed_there["direct_response"]["body"]["inline_string"]
    assert 100_000 < len(answer) <= LARGEST_BODY
    few = listed(targets(many), 100_000)
    assert few["left_out"] == 300 - len(few["services"]) > 0
    assert "left_out" not in listed(targets(sample.CATALOG))
