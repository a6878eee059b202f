"""What explain tells is what the real Envoy does: hundreds of random requests at planned configurations."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent.model.address import Address
from agent.model.catalog import Catalog, Service
from agent.model.version import Deprecation, Offer, Version
from agent.proxy.explain import Ask, Side, World, explain
from agent.proxy.snapshot import Snapshot
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, Envoy, Sidecar, catalog, echo, instance

REQUESTS = 400
ROUTE = "x-route-taken"
OLD = Offer((Version(1), Version(2, 1)), None, {Version(1): Deprecation(1767225600)})
NEW = Offer((Version(2, 1), Version(2, 3), Version(10)), Version(2, 1))

HOSTS = (
    "orders", "ORDERS", "orders.", "orders:80", "orders.:8080", "orders.service.consul", "Orders.Pillion",
    "orders.shop.svc", "orders.shop.svc.cluster.local:81", "orders.test.svc", "orders.x.svc",
    "stock", "stock.service.consul.", "empty", "late",
    "shop", "zoned", "127.0.0.1:{stranger}", "localhost:{stranger}", "LOCALHOST.:{stranger}", "127.1.2.3:{outbound}",
    "127.0.0.1:{inbound}", "[::1]:{outbound}", "this-host:{outbound}",
)  # fmt: skip
SEGMENTS = (
    "", "x", "api", "v1", "v2", "v2.1", "v2.2", "v2.9", "v3", "v10", "v01", "versions", "orders", "stock", "reports",
    "reportsx", "..", ".", "%2e%2E", "a%2Fb", "%41", "empty", "same", "b", "~", "a;b=c", "zoned",
)  # fmt: skip
QUERIES = ("", "", "", "?", "?v=/api/v1/x", "?a/../b")
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
VERSIONS = ("1", "v2", "2.1", "v2.2", "3", "10", "v01", "x", "", "1.0", " 2 ")
ACCEPTS = (
    "*/*", "application/vnd.shop.v1+json", "text/html, application/vnd.a.b.v2.2+json;q=0.5",
    "application/vnd.shop.v7+json", "APPLICATION/VND.X.V2+JSON", "application/vnd..v2+json",
    "application/vnd.x.v2+json, application/vnd.x.v1+json",
)  # fmt: skip


def requests(
    seed: int, hosts: tuple[str, ...]
) -> Iterator[tuple[str, str, str, tuple[tuple[str, str], ...]]]:
    """Endless requests: method, host, path with query, headers."""
    chance = random.Random(seed)
    while True:
        path = "/" + "/".join(chance.choices(SEGMENTS, k=chance.choice((0, 1, 2, 3, 3, 4))))
        headers: list[tuple[str, str]] = []
        if chance.random() < 0.3:
            headers += [
                ("X-API-Version", one) for one in chance.sample(VERSIONS, chance.choice((1, 1, 1, 2)))
            ]
        if chance.random() < 0.3:
            headers += [("Accept", one) for one in chance.sample(ACCEPTS, chance.choice((1, 1, 1, 2)))]
        if chance.random() < 0.1:
            headers.append(("X-Pillion-Hop", "1"))
        if chance.random() < 0.1:
            headers.append(("X_API_Version", "1"))
        yield chance.choice(METHODS), chance.choice(hosts), path + chance.choice(QUERIES), tuple(headers)


def told_by_envoy(snapshot: Snapshot) -> Snapshot:
    """The same snapshot, whose answers name the route that they took."""
    named = {"header": {"key": ROUTE, "value": "%ROUTE_NAME%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    routes = {name: {**one, "response_headers_to_add": [named]} for name, one in snapshot.routes.items()}
    return replace(snapshot, routes=routes)


async def sent(
    envoy: Address, method: str, target: str, host: str, headers: Any
) -> tuple[int, dict[str, str], str]:
    """Send exactly this; status, headers and body of the answer."""
    reader, writer = await asyncio.open_connection(envoy.host, envoy.port)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers]
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        whole = await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
    head, _, body = whole.decode(errors="replace").partition("\r\n\r\n")
    status, *rest = head.split("\r\n")
    found = dict(
        line.lower().split(": ", 1) if ": " in line else (line.lower().rstrip(":"), "") for line in rest
    )
    return int(status.split()[1]), found, body


def check(world: World, ask: Ask, got: tuple[int, dict[str, str], str]) -> str:
    """How the explanation differs from what Envoy did; empty where it does not."""
    status, headers, body = got
    told = explain(ask, world)
    if told["outcome"] in ("routed", "external"):
        if headers.get(ROUTE) != told["route"].lower():
            return f"took {headers.get(ROUTE)!r} with {status}, told {told['route']!r}"
        seen = told.get("rewrite", told["request"])
        if ask.method != "HEAD" and status == 200 and f'"path": "{seen["path"]}"' not in body:
            return f"the service saw {body[:200]}, told {seen}"
        names = [one["id"] for one in told.get("instances", ()) if one["used"] and one["id"]]
        if names and ask.method != "HEAD" and not any(f'"name": "{name}"' in body for name in names):
            return f"{body[:80]} answered, told {names}"
        return ""
    if status != told["status"]:
        return f"answered {status} by {headers.get(ROUTE)!r}, told {told['status']} by {told.get('route')!r}"
    if ROUTE in headers and headers[ROUTE] != told.get("route", "").lower():
        return f"took {headers[ROUTE]!r}, told {told.get('route')!r}"
    return ""


async def compared(world: World, envoy: Address, side: Side, seed: int, ports: dict[str, int]) -> None:
    """Send random requests and compare each answer."""
    hosts = HOSTS if side is Side.OUTBOUND else ("shop.example", "127.0.0.1:99", "shop.")
    wrong, outcomes = [], set()
    limit = asyncio.Semaphore(16)

    async def one(method: str, host: str, path: str, headers: tuple[tuple[str, str], ...]) -> None:
        host = host.format(**ports)
        target = f"http://{host}{path}" if side is Side.OUTBOUND else path
        ask = Ask(method, f"http://{host}{path}", headers, side)
        async with limit:
            got = await sent(envoy, method, target, host, headers)
        outcomes.add(explain(ask, world)["outcome"])
        if difference := check(world, ask, got):
            wrong.append(f"{method} {target} {headers}: {difference}")

    await asyncio.gather(*itertools.starmap(one, itertools.islice(requests(seed, hosts), REQUESTS)))
    assert not wrong, "\n".join([f"{len(wrong)} differ:", *wrong[:40]])
    assert "routed" in outcomes
    assert side is Side.INBOUND or "refused" in outcomes


async def instances(stack: AsyncExitStack, names: dict[str, Offer | None]) -> dict[str, int]:
    """Services that tell their names; their ports."""
    return {name: await stack.enter_async_context(echo(name, partial(raw, name))) for name in names}


def raw(name: str, request: web.Request) -> web.Response:
    """Who answers, and the path as it came."""
    return web.json_response({"name": name, "path": request.raw_path})


async def known(stack: AsyncExitStack) -> tuple[Catalog, dict[str, int]]:
    """Services with versions, namespaces, zones, routes that overlap, and none."""
    ports = await instances(stack, dict.fromkeys(("o-1", "o-2", "o-3", "s-1", "z-1", "stranger", "own")))
    orders = (
        instance(ports["o-1"], OLD, name="o-1", namespace="shop"),
        instance(ports["o-2"], NEW, name="o-2", namespace="shop"),
        instance(ports["o-3"], NEW, name="o-3", namespace="test"),
    )  # fmt: skip
    services = {
        "orders": Service("orders", orders, ("/orders", "/api/{version}/orders", "/same")),
        "stock": [instance(ports["s-1"], name="s-1")],
        "zoned": Service(
            "zoned", (instance(ports["z-1"], OLD, name="z-1", zone="b"),), ("/", "/same", "/b/{version}/x")
        ),
        "empty": [],
    }
    return catalog("late", **services), ports  # type: ignore[arg-type]


OVER: dict[str, dict[str, Any]] = {
    "plain": {},
    "rich": {
        "upstreams": {
            "*": {},
            "orders": {"version": "v1", "paths": [{"prefix": "/reports", "timeout": 9}, {"prefix": "/api/v2"}]},
        },
        "versions": {"policy": "latest", "serves": ["v1", "v2.1"], "strip_prefix": True},
        "service": {"name": "shop", "port": 1, "zone": "a"},
    },
    "closed": {"outbound": {"policy": "registry_only"}, "upstreams": {"*": {}, "stock": {"version": "v1"}}},
}  # fmt: skip


def with_port(over: dict[str, Any], port: int) -> dict[str, Any]:
    """The same with the service's own port."""
    return {**over, "service": {"name": "shop", **over.get("service", {}), "port": port}}


@pytest.mark.parametrize("kind", list(OVER))
async def test_what_is_told_of_outgoing_and_incoming_requests_is_what_envoy_does(
    folder: Path, start: Start, kind: str
) -> None:
    """Names, ports, versions by all ways, pins, strangers, loops; to the service's own inbound likewise."""
    async with AsyncExitStack() as stack:
        found, ports = await known(stack)
        over = with_port(OVER[kind], ports["own"])
        sidecar = start(Sidecar(folder, found, over, hosts=("this-host",), change=told_by_envoy))
        proxy = sidecar.settings.proxy
        outbound, inbound = Address.parse(proxy.outbound), Address.parse(proxy.inbound)
        every = {**{name.replace("-", "_"): port for name, port in ports.items()}, "outbound": outbound.port}
        every["inbound"] = inbound.port
        world = World(sidecar.settings, found, sidecar.snapshot)
        await compared(world, outbound, Side.OUTBOUND, 1, every)
        await compared(world, inbound, Side.INBOUND, 2, every)


@pytest.mark.parametrize("kind", ["plain", "rich"])
async def test_what_is_told_of_requests_at_the_gateway_is_what_envoy_does(
    folder: Path, start: Start, kind: str
) -> None:
    """Published routes, stripped ones, conflicts, versions within routes, dot segments."""
    async with AsyncExitStack() as stack:
        found, _ = await known(stack)
        over = {name: part for name, part in OVER[kind].items() if name in ("versions", "upstreams")}
        door = start(Door(folder, found, over, change=told_by_envoy))
        world = World(door.settings, found, door.snapshot)
        await compared(world, Address.parse(door.settings.gateway.listen), Side.GATEWAY, 3, {})


async def test_connect_is_told_as_envoy_treats_it(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A tunnel to a service, to one by TLS, to a stranger, at doors that take none."""
    async with AsyncExitStack() as stack:
        found, ports = await known(stack)
        sidecar: Envoy = start(Sidecar(folder, found, with_port({}, ports["own"]), change=told_by_envoy))
        assert isinstance(sidecar, Sidecar)
        world = World(sidecar.settings, found, sidecar.snapshot)
        outbound = Address.parse(sidecar.settings.proxy.outbound)
        for target, outcome in (
            ("stock:80", "routed"), ("stock:443", "refused"), (f"127.0.0.1:{ports['stranger']}", "external"),
            ("empty:80", "no_instance"), (f"127.0.0.1:{outbound.port}", "refused"),
        ):  # fmt: skip
            told = explain(Ask("CONNECT", target), world)
            assert told["outcome"] == outcome, target
            assert await connected(outbound, target) == told.get("status", 200), target
        inbound = Address.parse(sidecar.settings.proxy.inbound)
        told = explain(Ask("CONNECT", "shop:80", side=Side.INBOUND), world)
        assert await connected(inbound, "shop:80") == told["status"]


async def connected(envoy: Address, target: str) -> int:
    """The status that a CONNECT gets."""
    reader, writer = await asyncio.open_connection(envoy.host, envoy.port)
    try:
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        return int((await asyncio.wait_for(reader.readline(), 60)).split()[1])
    finally:
        writer.close()
