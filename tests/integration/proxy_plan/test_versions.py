"""API versions: who gets which request, and what the answer says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.model.catalog import Catalog, Service
from agent.model.version import Version
from agent.versions import declared
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, Gunicorn, Sidecar, catalog, echo, instance, settings

OLD = {
    "serves": ["v1", "v2.1"],
    "deprecated": {"v1": {"since": "2026-01-01", "sunset": "2027-01-01", "link": "https://x.example/v2"}},
}
NEW = {"serves": ["v2.1", "v2.3", "v3"], "default": "v2.1"}


class Mesh:
    """Two instances of `orders`, each a gunicorn with its own sidecar, and a caller."""

    def __init__(self, folder: Path, start: Start, over: Mapping[str, Any] | None = None) -> None:
        self.folder, self.start = folder, start
        self.instances = [self._instance(name, versions) for name, versions in (("old", OLD), ("new", NEW))]
        service = Service("orders", tuple(self.instances), ("/orders", "/api/{version}/orders"))
        self.known: Catalog = catalog(orders=service)
        self.caller = start(Sidecar(folder / "caller", self.known, over))

    def _instance(self, name: str, versions: Mapping[str, Any]) -> Any:
        service = self.start(Gunicorn(self.folder / f"g-{name}", name=name))
        over = {"service": {"name": "orders", "port": service.port}, "versions": versions}
        sidecar = self.start(Sidecar(self.folder / name, catalog(), over))
        offer = declared.offer(settings({"versions": versions}).versions)
        return instance(int(sidecar.inbound.rsplit(":", 1)[1]), offer, name=name)


@pytest.fixture
def mesh(folder: Path, start: Start) -> Iterator[Mesh]:
    """The mesh with a caller that pins nothing."""
    return Mesh(folder, start)


async def ask(
    http: aiohttp.ClientSession, mesh: Mesh, path: str = "/", **headers: str
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, document and headers of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.get(f"http://orders{path}", headers=named, proxy=mesh.caller.outbound) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


@pytest.mark.parametrize(
    ("path", "headers", "version", "names"),
    [
        ("/api/v1/x", {}, "v1", {"old"}),
        ("/api/v1", {}, "v1", {"old"}),
        ("/api/v1?q=1", {}, "v1", {"old"}),
        ("/api/v2/x", {}, "v2.3", {"new"}),
        ("/api/v2.1/x", {}, "v2.1", {"old", "new"}),
        ("/api/v2.2/x", {}, "v2.3", {"new"}),
        ("/api/v3/x", {"X_API_Version": "1", "Accept": "application/vnd.shop.v1+json"}, "v3", {"new"}),
        ("/x", {"X_API_Version": "1"}, "v1", {"old"}),
        ("/x", {"X_API_Version": "v3", "Accept": "application/vnd.shop.v1+json"}, "v3", {"new"}),
        ("/x", {"Accept": "application/vnd.shop.v1+json"}, "v1", {"old"}),
        (
            "/x",
            {"Accept": "text/html;q=0.1, application/vnd.acme.shop.v2.3+json;q=0.9, */*"},
            "v2.3",
            {"new"},
        ),
        ("/x", {"Accept": "application/json"}, "v2.1", {"old", "new"}),
        ("/x", {}, "v2.1", {"old", "new"}),
        ("/api/v1x/y", {}, "v2.1", {"old", "new"}),
    ],
)
async def test_a_request_reaches_only_instances_of_its_version(
    folder: Path,
    start: Start,
    http: aiohttp.ClientSession,
    path: str,
    headers: dict[str, str],
    version: str,
    names: set[str],
) -> None:
    """By URL, else header, else Accept, else the default; the service is told which."""
    async with echo("old") as old, echo("new") as new:
        offers = [declared.offer(settings({"versions": versions}).versions) for versions in (OLD, NEW)]
        known = catalog(orders=[instance(old, offers[0]), instance(new, offers[1])])
        caller = start(Sidecar(folder, known))
        seen = set()
        for _ in range(40):  # so that chance leaves none out
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with http.get(f"http://orders{path}", headers=named, proxy=caller.outbound) as answer:
                got = await answer.json()
                assert answer.status == 200
                assert answer.headers["X-API-Version"] == version
            assert got["headers"]["x-api-version"] == version
            assert got["path"] == path
            seen.add(got["name"])
    assert seen == names


async def test_both_versions_side_by_side_through_both_sidecars(
    mesh: Mesh, http: aiohttp.ClientSession
) -> None:
    """What the caller's sidecar resolved is what the instance's sidecar serves; the answer says all of it once."""
    for _ in range(8):
        status, got, headers = await ask(http, mesh, "/api/v1/things")
        assert (status, got["name"]) == (200, "old")
        assert headers.getall("X-API-Version") == ["v1"]
        assert headers.getall("X-API-Latest-Version") == ["v3"]
        assert headers.getall("Deprecation") == ["@1767225600"]
        assert headers.getall("Sunset") == ["Fri, 01 Jan 2027 00:00:00 GMT"]
        assert headers.getall("Link") == ['<https://x.example/v2>; rel="successor-version"']
        status, got, headers = await ask(http, mesh, "/things", X_API_Version="2")
        assert (status, got["name"], got["headers"]["x-api-version"]) == (200, "new", "v2.3")
        assert "Deprecation" not in headers
    names = set()
    for _ in range(40):
        _, got, headers = await ask(http, mesh, "/things")
        assert (got["headers"]["x-api-version"], headers["X-API-Version"]) == ("v2.1", "v2.1")
        names.add(got["name"])
    assert names == {"old", "new"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v9/x", {}),
        ("/api/v2.4/x", {}),
        ("/x", {"X_API_Version": "9"}),
        ("/x", {"Accept": "application/vnd.shop.v9+json"}),
    ],
)
async def test_a_version_that_nobody_serves_is_answered_with_what_exists(
    folder: Path, start: Start, http: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> None:
    """404 as a problem document, from the caller's sidecar."""
    known = catalog(orders=[instance(1, declared.offer(settings({"versions": NEW}).versions))])
    caller = start(Sidecar(folder, known))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(f"http://orders{path}", headers=named, proxy=caller.outbound) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        problem = await answer.json(content_type=None)
    assert set(problem) == {"type", "title", "status", "detail", "available"}
    assert (problem["status"], problem["available"]) == (404, ["v2.1", "v2.3", "v3"])


async def test_a_header_that_is_no_version_is_answered_400(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Guessing would hide the mistake."""
    known = catalog(orders=[instance(1, declared.offer(settings({"versions": NEW}).versions))])
    caller = start(Sidecar(folder, known))
    for value in ("banana", "1,2", "v2.x", "02", "99999"):
        async with http.get(
            "http://orders/", headers={"X-API-Version": value}, proxy=caller.outbound
        ) as answer:
            assert (answer.status, answer.content_type) == (400, "application/problem+json")


async def test_the_policy_latest_gives_the_newest_in_place_of_a_missing_version(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Under a path that the instance knows."""
    async with echo("new") as port:
        offer = declared.offer(settings({"versions": NEW}).versions)
        over = {"versions": {"policy": "latest"}}
        caller = start(Sidecar(folder, catalog(orders=[instance(port, offer)]), over))
        for path, seen in (("/api/v9/x?y=1", "/api/v3/x?y=1"), ("/api/v2/x", "/api/v2/x")):
            async with http.get(f"http://orders{path}", proxy=caller.outbound) as answer:
                assert (await answer.json())["path"] == seen
        async with http.get(
            "http://orders/x", headers={"X-API-Version": "9"}, proxy=caller.outbound
        ) as answer:
            assert answer.headers["X-API-Version"] == "v3"


async def test_a_callers_pin_counts_where_the_request_names_nothing(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Its sidecar adds it; what the request names itself goes before."""
    async with echo("new") as port:
        offer = declared.offer(settings({"versions": NEW}).versions)
        over = {"upstreams": {"orders": {"version": "v3"}, "ghost": {"version": "v1"}}}
        caller = start(Sidecar(folder, catalog(orders=[instance(port, offer)]), over))
        for headers, version in (({}, "v3"), ({"X-API-Version": "2"}, "v2.3")):
            async with http.get("http://orders/x", headers=headers, proxy=caller.outbound) as answer:
                assert (await answer.json())["headers"]["x-api-version"] == version


async def test_versions_are_listed_through_any_sidecar_and_on_the_gateway(
    mesh: Mesh, http: aiohttp.ClientSession
) -> None:
    """GET /api/versions of a service, and of all services at the door."""
    status, got, _ = await ask(http, mesh, "/api/versions")
    assert status == 200
    assert got["service"] == "orders"
    assert [one["version"] for one in got["versions"]] == ["v1", "v2.1", "v2.3", "v3"]
    assert (got["default"], got["latest"]) == ("v2.1", "v3")
    assert got["versions"][0]["deprecated"] is True
    door = mesh.start(Door(mesh.folder / "door", mesh.known))
    async with http.get(f"{door.url}/api/versions") as answer:
        assert answer.content_type == "application/json"
        assert (await answer.json())["services"]["orders"]["latest"] == "v3"


async def test_the_inbound_alone_serves_versions_and_strips_the_prefix(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A caller without a sidecar gets the same answers; the service never sees /api/vN."""
    async with echo("orders") as port:
        versions = {**OLD, "strip_prefix": True}
        over = {"service": {"name": "orders", "port": port}, "versions": versions}
        sidecar = start(Sidecar(folder, catalog(), over))
        for path, seen in (
            ("/api/v1/x?y=1", "/x?y=1"), ("/api/v2.1", "/"), ("/api/v1/", "/"), ("/api/v1?z", "/?z"),
            ("/x/api/v1", "/x/api/v1"),
        ):  # fmt: skip
            async with http.get(f"{sidecar.inbound}{path}") as answer:
                assert (await answer.json())["path"] == seen
        async with http.get(f"{sidecar.inbound}/x", headers={"X-API-Version": "2"}) as answer:
            assert (await answer.json())["headers"]["x-api-version"] == "v2.1"
        async with http.get(f"{sidecar.inbound}/api/v3/x") as answer:
            assert answer.status == 404
            assert (await answer.json(content_type=None))["available"] == ["v1", "v2.1"]
        async with http.get(f"{sidecar.inbound}/api/versions") as answer:
            assert (await answer.json())["latest"] == "v2.1"


async def test_a_service_without_versions_is_left_alone(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Its own /api/v1/… and /api/versions, headers and Accept pass as they are."""
    async with echo("plain") as port:
        sidecar = start(
            Sidecar(folder, catalog(plain=[instance(port)]), {"service": {"name": "plain", "port": port}})
        )
        for path in ("/api/v9/x", "/api/versions", "/x"):
            headers = {"X-API-Version": "banana", "Accept": "application/vnd.x.v9+json"}
            for url, proxy in ((f"http://plain{path}", sidecar.outbound), (f"{sidecar.inbound}{path}", None)):
                async with http.get(url, headers=headers, proxy=proxy) as answer:
                    got = await answer.json()
                    assert (answer.status, got["path"]) == (200, path)
                    assert got["headers"]["x-api-version"] == "banana"
                    assert not [name for name in answer.headers if name.lower().startswith("x-api")]


async def test_versions_and_zones_work_together(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A version that only the other zone serves is found there."""
    async with echo("near") as near, echo("far") as far:
        known = catalog(
            orders=[
                instance(near, declared.offer(settings({"versions": {"serves": ["v1"]}}).versions), zone="a"),
                instance(
                    far, declared.offer(settings({"versions": {"serves": ["v1", "v2"]}}).versions), zone="b"
                ),
            ]
        )
        caller = start(Sidecar(folder, known, {"service": {"name": "f", "port": 1, "zone": "a"}}))
        for version, name in (("1", "near"), ("2", "far")):
            for _ in range(8):
                async with http.get(
                    "http://orders/", headers={"X-API-Version": version}, proxy=caller.outbound
                ) as answer:
                    assert (await answer.json())["name"] == name
    assert Version.parse("v1") < Version.parse("v2")
