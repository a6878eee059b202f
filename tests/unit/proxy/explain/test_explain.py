"""The whole word on requests, as a person asks."""

import pytest

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.proxy.explain import Side
from agent.runtime.errors import Permanent
from tests.unit.proxy.explain.worlds import gateway, sidecar, told
from tests.unit.proxy.planner import sample


def test_a_version_in_the_url_is_told_with_what_it_became_and_who_serves_it() -> None:
    found = told(sidecar(), "GET", "http://orders/api/v2/x?y=1")
    assert (found["outcome"], found["route"]) == ("routed", "orders v2.3 by url")
    assert found["listener"] == {"name": "outbound", "address": "127.0.0.1:15001"}
    assert found["virtual_host"] == {"name": "orders", "domain": "orders"}
    version = found["version"]
    assert (version["asked"], version["place"], version["version"]) == ("v2", "url", "v2.3")
    assert "newest v2.x" in version["why"]
    assert version["available"] == ("v1", "v2.1", "v2.3")
    assert found["subset"] == "v2.3"
    used = {one["id"]: one["used"] for one in found["instances"]}
    assert used == {"o-1": False, "o-2": True}
    left = next(one for one in found["instances"] if not one["used"])
    assert left["why"] == "v2.3 is asked for; its versions: v1, v2.1"


@pytest.mark.parametrize(
    ("headers", "place", "asked", "got"),
    [
        ({"x_api_version": "2.1"}, "header", "v2.1", "v2.1"),
        ({"x_api_version": "v2.2"}, "header", "v2.2", "v2.3"),
        ({"accept": "text/html, application/vnd.shop.v1+json;q=0.5"}, "accept", "v1", "v1"),
        ({}, "", "", "v1"),
    ],
)
def test_it_says_where_the_version_was_named(
    headers: dict[str, str], place: str, asked: str, got: str
) -> None:
    version = told(sidecar(), "GET", "http://orders/x", **headers)["version"]
    assert (version["place"], version["asked"], version["version"]) == (place, asked, got)


def test_it_says_why_a_request_without_a_version_gets_one() -> None:
    plain = {"upstreams": {"*": {}, "orders": {}}}
    assert "pin v1" in told(sidecar(), "GET", "http://orders/x")["version"]["why"]
    assert "the service's default" in told(sidecar(plain), "GET", "http://orders/x")["version"]["why"]
    new = Service("orders", (Instance("o", Address("10.0.0.1", 1), sample.OLD),))
    assert (
        "no default"
        in told(sidecar(plain, Catalog({"orders": new})), "GET", "http://orders/x")["version"]["why"]
    )


def test_a_version_that_does_not_exist_is_refused_or_replaced_as_the_policy_says() -> None:
    found = told(sidecar(), "GET", "http://orders/api/v7/x")
    assert (found["outcome"], found["status"]) == ("refused", 404)
    assert (found["version"]["asked"], found["version"]["version"]) == ("v7", "")
    found = told(sidecar({"versions": {"policy": "latest"}}), "GET", "http://orders/api/v7/x")
    assert found["outcome"] == "routed"
    assert "policy is `latest`" in found["version"]["why"]
    assert found["rewrite"]["path"] == "/api/v2.3/x"
    assert told(sidecar(), "GET", "http://orders/x", x_api_version="new")["status"] == 400


def test_what_may_be_repeated_follows_the_method() -> None:
    get = told(sidecar({}), "GET", "http://stock/x")["policies"]["retries"]
    post = told(sidecar({}), "POST", "http://stock/x")["policies"]["retries"]
    assert (get["repeatable"], post["repeatable"], get["tries"]) == (True, False, 2)
    assert "20 %" in get["budget"]


def test_a_path_prefix_with_its_own_timeout_is_told_and_its_near_misses() -> None:
    found = told(sidecar(), "GET", "http://orders/reports/7")
    assert found["policies"]["timeouts"]["request"] == "60s"
    assert found["policies"]["retries"]["tries"] == 0
    found = told(sidecar(), "GET", "http://orders/other")
    assert found["policies"]["timeouts"]["request"] == "5s"
    whys = [one["why"] for one in found["near_misses"]]
    assert any("not below /reports" in why for why in whys)
    assert any("x-api-version is absent" in why for why in whys)


@pytest.mark.parametrize(
    "host",
    ["orders", "ORDERS", "orders:8080", "orders.", "orders.:80", "orders.service.consul", "orders.pillion",
     "orders.shop.svc", "Orders.shop.svc.cluster.local:9"],
)  # fmt: skip
def test_every_form_of_a_name_leads_to_the_service(host: str) -> None:
    assert told(sidecar(), "GET", f"http://{host}/x")["cluster"] == "upstream_orders"


def test_an_explicit_port_is_a_listener_of_its_own() -> None:
    found = told(sidecar(), "GET", "http://127.0.0.1:15100/x")
    assert found["listener"]["name"] == "port_orders"
    assert found["rewrite"]["host"] == "orders"


def test_hosts_outside_the_mesh_go_out_or_are_refused() -> None:
    found = told(sidecar(), "GET", "http://example.com/x")
    assert (found["outcome"], found["cluster"]) == ("external", "external_hosts")
    assert told(sidecar(), "GET", "https://example.com/x")["outcome"] == "external"
    only = sidecar({"outbound": {"policy": "registry_only"}})
    assert told(only, "GET", "http://example.com/x")["status"] == 502
    assert told(sidecar(), "GET", "http://127.0.0.1:15001/x")["status"] == 508
    assert told(sidecar(), "GET", "http://this-host:15001/x")["status"] == 508


def test_a_name_that_nobody_has_is_told_with_those_that_are_like_it() -> None:
    notes = told(sidecar(), "GET", "http://ordres/x")["notes"]
    assert any("did you mean orders" in note for note in notes)
    assert any(
        "/orders leads to orders" in one for one in told(gateway(), "GET", "/order/x", Side.GATEWAY)["notes"]
    )
    # A path that is published is not in doubt, whatever is refused at it.
    assert told(gateway(), "TRACE", "/orders/x", Side.GATEWAY)["notes"] == []


def test_a_service_without_instances_and_one_beyond_the_limit_are_refused() -> None:
    found = told(sidecar(), "GET", "http://empty/x")
    assert (found["outcome"], found["status"]) == ("no_instance", 503)
    assert told(sidecar(), "GET", "http://late/x")["status"] == 503


def test_tls_to_a_service_of_the_mesh_is_refused_with_the_reason() -> None:
    found = told(sidecar(), "GET", "https://orders/x")
    assert (found["outcome"], found["status"]) == ("refused", 502)
    assert "without TLS" in found["detail"]


def test_the_gateway_strips_what_is_not_published_and_keeps_what_is() -> None:
    found = told(gateway(), "GET", "/stock/a/../b?q", Side.GATEWAY)
    assert (found["cluster"], found["rewrite"]["path"]) == ("upstream_stock", "/b?q")
    found = told(gateway(), "GET", "/api/v2.2/orders/7", Side.GATEWAY)
    assert (found["version"]["asked"], found["version"]["version"]) == ("v2.2", "v2.3")
    assert "rewrite" not in found
    assert told(gateway(), "GET", "/api/versions", Side.GATEWAY)["outcome"] == "answered"
    assert told(gateway(), "GET", "/nothing", Side.GATEWAY)["status"] == 404


def test_the_inbound_leads_to_the_service_by_method() -> None:
    found = told(sidecar(), "GET", "/api/v2/x", Side.INBOUND)
    assert (found["cluster"], found["rewrite"]["path"]) == ("service_reuse", "/x")
    assert found["version"]["version"] == "v2"
    assert told(sidecar(), "POST", "/api/v2/x", Side.INBOUND)["cluster"] == "service_once"


def test_what_was_registered_wrongly_is_told() -> None:
    bad = Service(
        "stock", (Instance("s", Address("169.254.0.1", 80)), Instance("t", Address("10.0.0.1", 80)))
    )
    found = told(sidecar({}, Catalog({"stock": bad})), "GET", "http://stock/x")
    assert [one["id"] for one in found["instances"]] == ["t"]
    assert any("'s' of stock is left out" in note for note in found["notes"])


def test_two_services_that_want_one_path_are_told_at_the_gateway() -> None:
    one = (Instance("a", Address("10.0.0.1", 80)),)
    both = Catalog({name: Service(name, one, ("/same",)) for name in ("a", "b")})
    found = told(gateway({}, both), "GET", "/same", Side.GATEWAY)
    assert found["cluster"] == "upstream_a"
    assert any("a gets it" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("method", "url", "words"),
    [("G ET", "http://a/", "method"), ("GET", "/x", "names no host"), ("GET", "ftp://a/", "neither"),
     ("GET", "http://a b/", "no host"), ("GET", "http://a/" + "x" * 5000, "characters")],
)  # fmt: skip
def test_what_no_client_could_send_is_named(method: str, url: str, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        told(sidecar(), method, url)


def test_a_gateway_has_no_outbound() -> None:
    with pytest.raises(Permanent, match="no listener outbound"):
        told(gateway(), "GET", "http://orders/")
