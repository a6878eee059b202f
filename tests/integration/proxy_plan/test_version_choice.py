"""The real Envoy's choice of a version, held against the rule and against the planned routes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import carry
from agent.demo import backing
from agent.model.catalog import Catalog
from agent.model.version import Deprecation, Offer, Version
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, Gunicorn, Sidecar, catalog, echo, instance
from tests.unit.proxy.planner.routing import Request, outcome
from tests.unit.proxy.planner.wanted import Service, Wanted, wanted

OFFERED = tuple(map(Version.parse, ("v0", "v1", "v2", "v2.3", "v2.10", "v4.9", "v10")))
TOGETHER = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)


def served(port: int) -> Catalog:
    """An instance that serves all of the versions."""
    return catalog(orders=[instance(port, Offer(OFFERED, Version(1)))])


def asked(session: requests.Session, proxy: str, request: Request) -> tuple[int, str, str]:
    """Status, version and path, as the service was told them."""
    answer = session.request(
        request.method,
        f"http://orders{request.path}",
        headers={"accept": None, **request.headers},
        proxies={"http": proxy},
        timeout=60,
    )
    if answer.status_code != 200:
        return answer.status_code, "", ""
    got = answer.json()
    assert "x-pillion-accept" not in got["headers"]
    return 200, got["headers"]["x-api-version"], got["path"]


@pytest.mark.parametrize("latest", [False, True])
@pytest.mark.parametrize("pin", [None, Version(2, 4), Version(7)])
def test_envoy_gives_any_request_the_version_that_the_rule_says(
    folder: Path, start: Start, latest: bool, pin: Version | None
) -> None:
    """By URL, header, Accept with weights, pin and default in any mixture."""
    service = start(Gunicorn(folder / "g", "--worker-class", "gthread", "--threads", "4"))
    rule = Service(OFFERED, Version(1), pin, latest)
    upstreams = {"orders": {"version": str(pin)}} if pin else {}
    over = {"versions": {"policy": "latest" if latest else "compatible"}, "upstreams": {"*": {}, **upstreams}}
    caller = start(Sidecar(folder / "c", served(service.port), over))
    session = requests.Session()

    @TOGETHER
    @given(wanted)
    def holds(one: Wanted) -> None:
        expected = rule.expected(one)
        status, version, _ = asked(session, caller.outbound, one.request())
        if isinstance(expected, int):
            assert status == expected
        else:
            assert (status, version) == (200, str(expected))

    with session:
        holds()


PIECES = (
    "application/vnd.a.v1+json", "application/vnd.b.v2+json", "Application/VND.c.V2.3+JSON",
    "application/vnd.d.v9+json", "application/vnd.", ".v2.10+json", ".v02+json", "+json", "*/*", "text/html",
    ";q=0.5", ";q=0", ";Q=1.000", "; q=0.51", ";q=1.5", ";q=.5", ";a=b", ';a="x,y;q=0"', ';a="\\",', ";", ",",
    ", ", " ", "\t", '"', "\\", "/", "=",
)  # fmt: skip
accepts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map(
    lambda parts: "".join(parts).strip(" \t")
)


def test_envoy_reads_any_accept_as_the_agent_does(folder: Path, start: Start) -> None:
    """So what `parse.wishes` says of a request is what becomes of it."""
    service = start(Gunicorn(folder / "g", "--worker-class", "gthread", "--threads", "4"))
    caller = start(Sidecar(folder / "c", served(service.port)))
    hosts = caller.snapshot.routes["outbound"]["virtual_hosts"]
    routes = next(one["routes"] for one in hosts if one["name"] == "orders")
    session = requests.Session()

    @settings(TOGETHER, max_examples=600)
    @given(accepts)
    def holds(accept: str) -> None:
        request = Request("/x", {"accept": accept})
        expected = outcome(routes, request)
        assert asked(session, caller.outbound, request) == (expected.status, expected.version, expected.path)

    with session:
        holds()


@pytest.mark.parametrize(
    ("accepts", "version"),
    [
        (["application/vnd.x.v2+json;q=0.5", "application/vnd.x.v1+json"], "v1"),
        (["application/vnd.x.v1+json;q=0.2, application/vnd.x.v2.3+json;q=0.8"], "v2.3"),
        (["application/vnd.x.v9+json, application/vnd.x.v1+json;q=0.001"], "v1"),
        (["application/vnd.x.v10+json;q=0, */*"], "v1"),
        (["application/vnd.x.v0+json, application/vnd.x.v1+json"], "v1"),
        (["application/vnd.x.v2+json;q=0.9, application/vnd.x.v2.3+json;q=0.95"], "v2.3"),
    ],
)
async def test_the_highest_weight_wins_over_several_lines_too(
    folder: Path, start: Start, http: aiohttp.ClientSession, accepts: list[str], version: str
) -> None:
    """RFC 9110: a weight of 0 is a refusal, and what can't be had yields to what can."""
    async with echo() as port:
        caller = start(Sidecar(folder, served(port)))
        named = [("Accept", one) for one in accepts]
        async with http.get("http://orders/x", headers=named, proxy=caller.outbound) as answer:
            got = await answer.json()
    assert got["headers"]["x-api-version"] == version
    assert got["headers"]["accept"] == ",".join(accepts), "the service sees what the caller sent"


@pytest.mark.parametrize(
    ("lines", "version"),
    [(["1", "v2"], "v2.10"), (["v4.9", "0"], "v4.9"), (["banana", "1"], "v1"), (["7", "1"], "v1")],
)
async def test_of_several_lines_the_newest_version_that_can_be_had_counts(
    folder: Path, start: Start, http: aiohttp.ClientSession, lines: list[str], version: str
) -> None:
    """Envoy matches each line of a header by itself; the service is told of one version."""
    async with echo() as port:
        caller = start(Sidecar(folder, served(port)))
        named = [("X-API-Version", one) for one in lines]
        async with http.get("http://orders/x", headers=named, proxy=caller.outbound) as answer:
            got = await answer.json()
    assert [value for name, value in got["all"] if name == "x-api-version"] == [version]


async def test_a_service_can_not_choose_by_envoys_own_header(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """What Accept was read as is nobody else's to say, on any listener."""
    async with echo() as port:
        known = served(port)
        over = {
            "service": {"name": "orders", "port": port},
            "versions": {"serves": [str(one) for one in OFFERED], "default": "v1"},
            "upstreams": {"orders": {"port": backing.free_port()}},
        }
        sidecar = start(Sidecar(folder / "s", known, over))
        door = start(Door(folder / "d", known))
        explicit = f"http://127.0.0.1:{sidecar.settings.upstreams['orders'].port}"
        for url, proxy in (
            ("http://orders/x", sidecar.outbound), (f"{sidecar.inbound}/x", None),
            (f"{explicit}/x", None), (f"{door.url}/orders/x", None),
        ):  # fmt: skip
            for accept, version in (("*/*", "v1"), ("application/vnd.x.v0+json", "v0")):
                headers = {"X-Pillion-Accept": "10", "Accept": accept}
                async with http.get(url, headers=headers, proxy=proxy) as answer:
                    got = (await answer.json())["headers"]
                assert got["x-api-version"] == version
                assert "x-pillion-accept" not in got


async def test_a_pin_is_never_carried_further(
    folder: Path, start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """a pins v1 of b; b's call to c gets c's default, although the carry hook carries the request id on."""
    monkeypatch.setenv("PYTHONPATH", str(carry.SITE))
    async with echo("c") as c:
        outbound = f"127.0.0.1:{backing.free_port()}"
        variables = {
            "NEXT": "c",
            "HTTP_PROXY": f"http://{outbound}",
            "http_proxy": f"http://{outbound}",
            "NO_PROXY": "x",
        }
        flags = [flag for name, value in variables.items() for flag in ("--env", f"{name}={value}")]
        b = Gunicorn(folder / "gb", *flags, app="relay:app")
        offer = Offer((Version(1), Version(2)))
        over: Mapping[str, Any] = {
            "service": {"name": "b", "port": b.port},
            "versions": {"serves": ["v1", "v2"]},
            "proxy": {"outbound": outbound},
        }
        beside_b = start(Sidecar(folder / "b", catalog(c=[instance(c, offer)]), over))
        start(b)
        known = catalog(b=[instance(int(beside_b.inbound.rpartition(":")[2]), offer)])
        a = start(Sidecar(folder / "a", known, {"upstreams": {"b": {"version": "v1"}}}))
        async with http.get("http://b/x", headers={"X-Request-Id": "one"}, proxy=a.outbound) as answer:
            got = await answer.json()
            assert answer.headers.getall("X-API-Version") == ["v1"]
    assert got["headers"]["x-api-version"] == "v1"
    following = got["next"]["headers"]
    assert following["x-request-id"] == "one", "the hook is at work"
    assert following["x-api-version"] == "v2"


async def test_the_successors_link_stands_beside_the_services_own(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A service that pages its answers sends Link too; deprecation headers of its own go before ours."""
    link = "https://docs.example/v2"

    def paged(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(headers={"Link": '</x?page=2>; rel="next"', "Sunset": "soon"})

    versions = {
        "serves": ["v1", "v2"],
        "deprecated": {"v1": {"since": "2026-01-01", "sunset": "2027-01-01", "link": link}},
    }
    offer = Offer((Version(1), Version(2)), None, {Version(1): Deprecation(1767225600, 1798761600, link)})
    async with echo("orders", paged) as port:
        over = {"service": {"name": "orders", "port": port}, "versions": versions}
        sidecar = start(Sidecar(folder / "s", catalog(), over))
        inbound = int(sidecar.inbound.rpartition(":")[2])
        caller = start(Sidecar(folder / "c", catalog(orders=[instance(inbound, offer)])))
        async with http.get("http://orders/api/v1/x", proxy=caller.outbound) as answer:
            assert answer.headers.getall("Link") == [
                '</x?page=2>; rel="next"', f'<{link}>; rel="successor-version"',
            ]  # fmt: skip
            assert answer.headers.getall("Sunset") == ["soon"]
            assert answer.headers.getall("Deprecation") == ["@1767225600"]
            assert "Vary" not in answer.headers, "the URL says all"
        async with http.get("http://orders/x", proxy=caller.outbound) as answer:
            assert answer.headers.getall("Vary") == ["X-API-Version, Accept"]
        async with http.get("http://orders/api/v2/x", proxy=caller.outbound) as answer:
            assert answer.headers.getall("Link") == ['</x?page=2>; rel="next"']


async def test_a_roll_out_of_the_first_versions_keeps_the_old_instances_in_use(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """They declare nothing, so they get what names nothing; what names a version goes to those that serve it."""
    async with echo("old") as old, echo("new") as new:
        known = catalog(orders=[instance(old), instance(new, Offer((Version(1), Version(2)), Version(1)))])
        caller = start(Sidecar(folder, known))

        async def names(path: str) -> set[str]:
            found = set()
            for _ in range(24):
                async with http.get(f"http://orders{path}", proxy=caller.outbound) as answer:
                    found.add((await answer.json())["name"])
            return found

        assert await names("/x") == {"old", "new"}
        assert await names("/api/v2/x") == await names("/api/v1/x") == {"new"}


async def test_lists_of_versions_are_as_long_as_they_need_to_be(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Envoy's own limit is 4,096 bytes; each instance may publish 512 characters of deprecations."""
    versions = [Version(1, minor) for minor in range(32)]
    known = catalog(
        orders=[
            instance(
                9000 + n, Offer((one,), None, {one: Deprecation(1, 2, "https://docs.example/" + "x" * 370)})
            )
            for n, one in enumerate(versions)
        ]
    )
    caller = start(Sidecar(folder / "c", known))
    door = start(Door(folder / "d", known))
    async with http.get("http://orders/api/versions", proxy=caller.outbound) as answer:
        assert len(await answer.read()) > 4 * 4096
        assert len((await answer.json())["versions"]) == 32
    async with http.get(f"{door.url}/api/versions") as answer:
        assert len((await answer.json())["services"]["orders"]["versions"]) == 32
    async with http.get("http://orders/api/v9/", proxy=caller.outbound) as answer:
        assert answer.status == 404
        assert len((await answer.json(content_type=None))["available"]) == 32
