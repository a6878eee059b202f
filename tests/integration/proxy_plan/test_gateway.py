"""One address in front of all services."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.model.catalog import Service
from agent.model.version import Offer, Version
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, catalog, echo, instance

VERSIONED = Offer((Version(1), Version(2)))


async def get(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, Any]:
    """Status and document."""
    async with http.get(url, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_service_without_routes_is_at_its_name(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """The service sees its own paths and is told what was removed."""
    async with echo("orders") as port:
        door = start(Door(folder, catalog(orders=[instance(port)])))
        for path, seen in (
            ("/orders", "/"), ("/orders/", "/"), ("/orders/x/y?z=1", "/x/y?z=1"), ("/orders?z", "/?z"),
            ("/orders/a/../b", "/b"),
        ):  # fmt: skip
            _, got = await get(http, f"{door.url}{path}")
            assert got["path"] == seen, path
            assert got["headers"]["x-forwarded-prefix"] == "/orders"
        for path in ("/ordersx", "/", "/nothing", "/x/orders", "/ORDERS"):
            status, got = await get(http, f"{door.url}{path}")
            assert (status, got["status"]) == (404, 404), path


async def test_published_routes_are_matched_longest_first(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """They are not stripped, and whole segments count."""
    async with echo("shop") as shop, echo("cart") as cart, echo("site") as site:
        known = catalog(
            shop=Service("shop", (instance(shop),), ("/shop",)),
            cart=Service("cart", (instance(cart),), ("/shop/cart/", "/basket")),
            site=Service("site", (instance(site),), ("/",)),
        )
        door = start(Door(folder, known))
        for path, name in (
            ("/shop/x", "shop"), ("/shop/cart", "cart"), ("/shop/cart/1", "cart"), ("/shop/carts", "shop"),
            ("/basket", "cart"), ("/cart", "site"), ("/", "site"), ("/shopping", "site"),
        ):  # fmt: skip
            _, got = await get(http, f"{door.url}{path}")
            assert (got["name"], got["path"]) == (name, path)


async def test_two_services_that_ask_for_one_path(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """The name that sorts first gets it."""
    async with echo("a") as first, echo("b") as second:
        known = catalog(
            a=Service("a", (instance(first),), ("/same",)),
            b=Service("b", (instance(second),), ("/same", "/b")),
        )
        door = start(Door(folder, known))
        assert (await get(http, f"{door.url}/same"))[1]["name"] == "a"
        assert (await get(http, f"{door.url}/b"))[1]["name"] == "b"


@pytest.mark.parametrize("route", ["", "/api/{version}/orders", "/"])
async def test_versions_count_at_the_gateway(
    folder: Path, start: Start, http: aiohttp.ClientSession, route: str
) -> None:
    """In the URL below the service's name, within a published route, and by header."""
    base = {"": "/orders/api/{}/orders", "/api/{version}/orders": "/api/{}/orders", "/": "/api/{}/orders"}[
        route
    ]
    async with echo("one") as one, echo("two") as two:
        instances = (instance(one, Offer((Version(1),))), instance(two, Offer((Version(2),))))
        door = start(Door(folder, catalog(orders=Service("orders", instances, (route,) if route else ()))))
        for version, name in (("v1", "one"), ("v2", "two")):
            for _ in range(6):
                _, got = await get(http, door.url + base.format(version) + "/7?x=y")
                assert (got["name"], got["headers"]["x-api-version"]) == (name, version)
                assert got["path"] == f"/api/{version}/orders/7?x=y"
        status, got = await get(http, door.url + base.format("v3"))
        assert (status, got["available"]) == (404, ["v1", "v2"])
        if "version" not in route:
            path = base.split("/api")[0]
            _, got = await get(http, f"{door.url}{path}/x", **{"X-API-Version": "1"})
            assert got["name"] == "one"


async def test_what_only_pillion_may_set_is_removed_and_set_anew(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A stranger's X-Envoy, X-Pillion and forwarding headers do not count; a reasonable request id does."""
    async with echo("orders") as port:
        door = start(Door(folder, catalog(orders=[instance(port)])))
        sent = {
            "X-Pillion-A": "1", "X-Forwarded-For": "203.0.113.9", "X-Envoy-Retry-On": "5xx",
            "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
            "X-Forwarded-Prefix": "/evil", "X-Request-Id": "r-17", "X_Api_Version": "9", "Host": "shop.example",
        }  # fmt: skip
        _, got = await get(http, f"{door.url}/orders/x", **sent)
        headers = got["headers"]
        assert not [name for name in headers if name.startswith(("x-pillion", "x-envoy", "x_"))]
        assert headers["x-forwarded-host"] == "shop.example"
        assert headers["x-forwarded-proto"] == "http"
        assert headers["x-forwarded-prefix"] == "/orders"
        # Envoy tells the machine's own address for a client on the same machine.
        assert headers["x-forwarded-for"].split(",")[-1] not in ("203.0.113.9", "")
        assert headers["x-request-id"] == "r-17"
        for bad in ("x" * 200, "a b", "é"):
            _, got = await get(http, f"{door.url}/orders/x", **{"X-Request-Id": bad})
            assert len(got["headers"]["x-request-id"]) == 36


async def test_all_services_are_listed_with_their_versions(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Services without versions too; the list may be long."""
    services = {f"service-{number}": [instance(number + 1, VERSIONED)] for number in range(60)}
    door = start(Door(folder, catalog(plain=[instance(1)], **services)))
    status, got = await get(http, f"{door.url}/api/versions")
    assert status == 200
    assert got["services"]["plain"] == {"versions": []}
    assert len(got["services"]) == 61
    assert [one["version"] for one in got["services"]["service-7"]["versions"]] == ["v1", "v2"]
