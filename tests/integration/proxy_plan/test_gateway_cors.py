"""Web pages of other origins at the gateway."""

from pathlib import Path
from typing import Any

import aiohttp

from agent.model.catalog import Service
from agent.model.version import Offer, Version
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, catalog, echo, instance

SHOP = "https://shop.example"
POLICY: dict[str, Any] = {
    "origins": [SHOP, "https://*.shop.example"], "methods": ["GET", "PUT"], "headers": ["X-Mine", "Content-Type"],
    "expose": ["X-Total"], "credentials": True, "max_age": "5m",
}  # fmt: skip


async def preflight(
    http: aiohttp.ClientSession, url: str, origin: str, method: str = "PUT"
) -> aiohttp.ClientResponse:
    """What a browser asks before a request that needs leave."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-mine",
    }
    async with http.options(url, headers=headers) as answer:
        await answer.read()
        return answer


async def test_the_gateway_answers_preflights_itself(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """No service hears of them, also of those that are refused."""
    reached: list[str] = []
    offer = Offer((Version(1), Version(2)))
    async with echo("orders", lambda request: reached.append(request.method) or 200) as port:
        known = catalog(
            orders=[instance(port)], stock=Service("stock", (instance(port, offer),), ("/stock",))
        )
        door = start(Door(folder, known, {"gateway": {"cors": [{**POLICY, "max_age": 300}]}}))
        for path in ("/orders/x", "/stock", "/stock/x"):
            answer = await preflight(http, door.url + path, SHOP)
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == SHOP
            assert answer.headers["Access-Control-Allow-Methods"] == "GET, PUT"
            assert answer.headers["Access-Control-Allow-Headers"] == "X-Mine, Content-Type"
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert answer.headers["Access-Control-Max-Age"] == "300"
        for origin in (
            "https://evil.example",
            "https://shop.example.evil.example",
            "http://shop.example",
            "null",
        ):
            answer = await preflight(http, f"{door.url}/orders/x", origin)
            assert "Access-Control-Allow-Origin" not in answer.headers  # without it the rest says nothing
        assert reached == []


async def test_a_page_may_read_what_its_origin_is_allowed(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Caches are told that the answer depends on the origin; strangers get the answer but may not read it."""
    async with echo("orders") as port:
        door = start(
            Door(folder, catalog(orders=[instance(port)]), {"gateway": {"cors": [{**POLICY, "max_age": 1}]}})
        )
        async with http.get(f"{door.url}/orders/x", headers={"Origin": "https://a.shop.example"}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "https://a.shop.example"
            assert answer.headers["Access-Control-Expose-Headers"] == "X-Total"
            assert answer.headers["Vary"] == "Origin"
        for headers in ({"Origin": "https://evil.example"}, {}):
            async with http.get(f"{door.url}/orders/x", headers=headers) as answer:
                assert answer.status == 200
                assert "Access-Control-Allow-Origin" not in answer.headers
                assert answer.headers["Vary"] == "Origin"


async def test_each_part_of_the_paths_has_its_own_policy(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """The longest prefix counts, above and below what a service publishes."""
    policies = [
        {"origins": ["https://all.example"]},
        {"prefix": "/orders/open", "origins": ["*"]},
        {"prefix": "/stock", "origins": ["https://stock.example"]},
    ]
    async with echo("orders") as port:
        door = start(
            Door(
                folder,
                catalog(orders=[instance(port)], stock=[instance(port)], rest=[instance(port)]),
                {"gateway": {"cors": policies}},
            )
        )
        for path, origin, allowed in (
            ("/orders/x", "https://all.example", True), ("/orders/x", "https://any.example", False),
            ("/orders/open", "https://any.example", True), ("/orders/open?x", "https://any.example", True),
            ("/orders/open/x", "https://any.example", True), ("/orders/opened", "https://any.example", False),
            ("/stock/x", "https://stock.example", True), ("/stock/x", "https://all.example", False),
            ("/rest", "https://all.example", True),
        ):  # fmt: skip
            answer = await preflight(http, door.url + path, origin)
            assert ("Access-Control-Allow-Origin" in answer.headers) is allowed, (path, origin)
            async with http.get(door.url + path, headers={"Origin": origin}) as got:
                assert got.status == 200
                assert ("Access-Control-Allow-Origin" in got.headers) is allowed, (path, origin)


async def test_without_a_policy_services_answer_preflights_themselves(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    async with echo("orders") as port:
        door = start(Door(folder, catalog(orders=[instance(port)])))
        async with http.options(
            f"{door.url}/orders/x", headers={"Origin": SHOP, "Access-Control-Request-Method": "PUT"}
        ) as answer:
            assert (await answer.json())["method"] == "OPTIONS"
