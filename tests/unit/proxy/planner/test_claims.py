"""Which service gets which path of the gateway."""

import pytest

from agent.model.catalog import Catalog, Service
from agent.proxy.planner.claims import conflicts, covers, decide
from agent.proxy.planner.targets import targets
from tests.unit.proxy.planner import sample


def catalog(**routes: tuple[str, ...]) -> Catalog:
    """Services with these published prefixes."""
    return Catalog({name: Service(name, (), paths) for name, paths in routes.items()})


def got(known: Catalog, pins: dict[str, list[str]] | None = None) -> dict[str, str]:
    """Who gets which prefix; those that are kept from everybody belong to nobody."""
    decision = decide(targets(known), pins or {})
    found = {claim.entry.prefix: claim.name for claim in decision.granted}
    return {**found, **dict.fromkeys(decision.kept, "")}


def test_the_longest_prefix_is_tried_first_and_then_the_name_that_sorts_first() -> None:
    known = catalog(b=("/same", "/b"), a=("/same",), site=("/",), cart=("/b/cart",))
    decision = decide(targets(known), {})
    assert [(claim.entry.prefix, claim.name) for claim in decision.granted] == [
        ("/b/cart", "cart"),
        ("/same", "a"),
        ("/b", "b"),
        ("/", "site"),
    ]
    assert decision.refused == ("Both a and b ask for /same: a gets it.",)


@pytest.mark.parametrize("routes", [(), ("/orders",)])
def test_nobody_takes_the_path_of_anothers_name(routes: tuple[str, ...]) -> None:
    """A service that sorts first does not get what begins with the name of another that asks for it too."""
    known = catalog(aaa=("/orders",), orders=routes)
    assert got(known)["/orders"] == "orders"
    assert conflicts(known) == ("Both orders and aaa ask for /orders: orders gets it.",)


def test_a_prefix_kept_for_a_service_goes_to_no_other() -> None:
    """Neither the prefix nor what is below it, which a longer prefix would take."""
    known = catalog(aaa=("/orders", "/orders/7", "/other"), orders=("/orders",))
    assert got(known, {"orders": ["/orders"]}) == {"/orders": "orders", "/other": "aaa"}
    said = decide(targets(known), {"orders": ["/orders/"]}).refused
    assert said == (
        "aaa asks for /orders/7, which belongs to orders (gateway.routes): it does not get it.",
        "aaa asks for /orders, which belongs to orders (gateway.routes): it does not get it.",
    )


def test_the_longest_kept_prefix_says_whose_it_is() -> None:
    known = catalog(cart=("/shop/cart", "/shop"), shop=("/shop/cart", "/shop"))
    pins = {"shop": ["/shop"], "cart": ["/shop/cart"]}
    assert got(known, pins) == {"/shop/cart": "cart", "/shop": "shop"}


@pytest.mark.parametrize("claim", ["/api/{version}/orders", "/api/v1/orders", "/api/v2.1/orders/x"])
def test_a_version_in_a_path_is_no_way_around(claim: str) -> None:
    known = catalog(aaa=(claim,), orders=("/api/{version}/orders",))
    assert "aaa" not in got(known, {"orders": ["/api/{version}/orders"]}).values()
    assert "aaa" not in got(known, {"orders": ["/api/v1", "/api/v2.1"]}).values()


def test_a_kept_prefix_that_its_service_does_not_publish_leads_nowhere() -> None:
    """Not to the service that has all the rest."""
    known = catalog(site=("/",), other=("/other",))
    assert got(known, {"orders": ["/orders"]}) == {"/other": "other", "/": "site", "/orders": ""}
    assert got(known, {"site": ["/admin"]}) == {"/other": "other", "/": "site"}
    assert got(catalog(other=("/other",)), {"orders": ["/orders"]}) == {"/other": "other"}


def test_all_paths_can_be_kept_so_that_nothing_new_appears() -> None:
    known = catalog(site=("/",), orders=("/orders",), new=("/new",))
    assert got(known, {"site": ["/"], "orders": ["/orders"]}) == {"/": "site", "/orders": "orders"}


def test_a_fixed_version_within_the_versions_of_another_is_said() -> None:
    known = catalog(aaa=("/api/v1/orders",), orders=("/api/{version}/orders",))
    assert conflicts(known) == (
        "aaa asks for /api/v1/orders and orders for /api/{version}/orders: what fits both, aaa gets.",
    )
    assert conflicts(catalog(a=("/api/v1/x", "/api/{version}/x"), b=("/api/{other}/x", "/v1"))) == ()


def test_conflicts_count_what_the_settings_keep() -> None:
    known = catalog(aaa=("/orders",), orders=("/orders",))
    settings = sample.settings({"gateway": {"routes": {"aaa": ["/orders"]}}})
    assert conflicts(known, settings) == (
        "orders asks for /orders, which belongs to aaa (gateway.routes): it does not get it.",
    )


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        ("/", "/a", True), ("/a", "/a", True), ("/a", "/a/b", True), ("/a", "/ab", False), ("/a/b", "/a", False),
        ("/{version}", "/v1", True), ("/v1", "/{version}/x", True), ("/{version}", "/a", False), ("/a", "/A", False),
    ],
)  # fmt: skip
def test_whole_segments_count(upper: str, lower: str, expected: bool) -> None:
    assert covers(upper, lower) is expected
