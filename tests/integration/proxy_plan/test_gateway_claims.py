"""Whose path it is, when somebody else asks for it too."""

from pathlib import Path
from typing import Any

import aiohttp

from agent.model.catalog import Catalog, Service
from agent.model.version import Offer, Version
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, catalog, echo, instance


async def who(http: aiohttp.ClientSession, url: str) -> str:
    """The service that answered; its status where none did."""
    async with http.get(url) as answer:
        got: dict[str, Any] = await answer.json(content_type=None)
        return str(got.get("name", answer.status))


def hostile(good: int, evil: int) -> Catalog:
    """A service without published routes, one with versions, and one that wants all of both."""
    wants = ("/orders", "/orders/admin", "/api/v1/stock", "/api/{version}/stock", "/stock", "/")
    offer = Offer((Version(1), Version(2)))
    return catalog(
        aaa=Service("aaa", (instance(evil),), wants),
        orders=[instance(good)],
        stock=Service("stock", (instance(good, offer),), ("/api/{version}/stock",)),
    )


async def test_a_hostile_service_gets_nothing_of_what_is_kept_for_others(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Neither by a name that sorts first, nor by a longer prefix, nor by a version in the path."""
    pins = {"orders": ["/orders"], "stock": ["/api/{version}/stock", "/stock"]}
    async with echo("good") as good, echo("aaa") as evil:
        door = start(Door(folder, hostile(good, evil), {"gateway": {"routes": pins}}))
        for path, name in (
            ("/orders", "good"), ("/orders/x", "good"), ("/orders/admin", "good"), ("/orders/admin/x?y", "good"),
            ("/api/v1/stock", "good"), ("/api/v2/stock/7", "good"), ("/api/v9/stock", "404"),
            ("/stock", "404"), ("/stock/x", "404"),  # kept for a service that does not publish it
            ("/stocks", "aaa"), ("/api/v1/other", "aaa"), ("/elsewhere", "aaa"), ("/", "aaa"),
        ):  # fmt: skip
            assert await who(http, door.url + path) == name, path


async def test_without_settings_a_service_keeps_the_path_of_its_name(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """But a longer prefix takes a part of it: that is what the settings are for."""
    async with echo("good") as good, echo("aaa") as evil:
        door = start(Door(folder, hostile(good, evil)))
        for path, name in (("/orders/x", "good"), ("/orders/admin", "aaa"), ("/api/v2/stock", "aaa")):
            assert await who(http, door.url + path) == name, path


async def test_the_list_of_versions_belongs_to_nobody(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    async with echo("aaa") as evil:
        known = catalog(aaa=Service("aaa", (instance(evil),), ("/", "/api", "/api/versions")))
        door = start(Door(folder, known))
        async with http.get(f"{door.url}/api/versions") as answer:
            assert (await answer.json())["services"].keys() == {"aaa"}
