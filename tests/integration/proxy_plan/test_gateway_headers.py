"""What a stranger says of himself at the gateway, and what services hear of it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.model.catalog import Service
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import request, send
from tests.integration.proxy_plan.rig import Door, catalog, echo, instance
from tests.waiting import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def site(port: int) -> Any:
    """A catalogue with one service that has all paths."""
    return catalog(site=Service("site", (instance(port),), ("/",)))


async def heard(
    door: Door, *lines: str, target: str = "/x", host: str = "shop.example"
) -> dict[str, list[str]]:
    """The values of each header as the service got them."""
    reply = await send(door.address, request(target, *lines, host=host))
    assert reply.status == 200, reply
    found: dict[str, list[str]] = {}
    for name, value in reply.json["all"]:
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "X-Envoy-Retry-On: 5xx", "x-envoy-max-retries: 4294967291", "X-Envoy-Upstream-Rq-Timeout-Ms: 1234567899",
        "X-Envoy-Internal: true", "X-Envoy-External-Address: 203.0.113.9", "X-Envoy-Original-Path: /admin",
        "X-Envoy-Decorator-Operation: evil", "X-Envoy-Force-Trace: true", "X-Envoy-Hedge-On-Per-Try-Timeout: true",
        "X-Pillion-Carry: evil", "X-Pillion-Anything: evil", "X-PILLION-UPPER: evil",
        "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 666666666", "X-Forwarded-Prefix: /evil", "X-Forwarded-Scheme: gopher", "X-Forwarded-Ssl: on",
        "X-Forwarded-Server: evil.example", "X-Forwarded-Path: /evil", "X-Forwarded-Uri: /evil",
        "X-Forwarded-Client-Cert: Subject=evil", "Forwarded: for=203.0.113.9", "X-Real-Ip: 203.0.113.9",
        "X-Client-Ip: 203.0.113.9", "True-Client-Ip: 203.0.113.9", "X-Original-Url: /evil",
        "X-Original-Host: evil.example", "X-Rewrite-Url: /evil", "Proxy: http://evil.example:1",
        "X-P-Tp: evil", "X-P-Ts: evil", "X-P-Id: evil",
    ],
)  # fmt: skip
async def test_a_stranger_cannot_say_it(folder: Path, start: Start, line: str) -> None:
    """No value of the client's reaches a service under a header by which services learn of him.

    The values are such as no id of a request contains by chance.
    """
    value = line.partition(":")[2].strip()
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        got = await heard(door, line)
        assert not [name for name, values in got.items() if any(value in one for one in values)], got


async def test_http_2_is_no_way_around(folder: Path, start: Start) -> None:
    """The same headers go, and the same are set anew."""
    lies = {
        "x-forwarded-for": "203.0.113.9", "x-forwarded-host": "evil.example", "x-envoy-max-retries": "99",
        "x-pillion-a": "lie", "x-real-ip": "203.0.113.9", "forwarded": "for=203.0.113.9", "x_real_ip": "203.0.113.9",
    }  # fmt: skip
    async with (
        echo("site") as port,
        httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=60) as client,
    ):
        door = start(Door(folder, site(port)))
        answer = await client.get(f"{door.url}/a/%2e%2e/b", headers=lies)
        assert answer.http_version == "HTTP/2"
        got = answer.json()
        assert got["path"] == "/b"
        assert not [
            pair for pair in got["all"] if "203.0.113" in pair[1] or pair[1] in ("evil.example", "99", "lie")
        ]
        assert got["headers"]["x-real-ip"] == "127.0.0.1"
        assert (await client.get(f"{door.url}/a%2fb")).status_code == 400
        assert (await client.request("TRACE", f"{door.url}/a")).status_code == 405


async def test_services_learn_of_the_client_from_the_gateway(folder: Path, start: Start) -> None:
    """Each header has one value, the gateway's own."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        got = await heard(door, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.10")
        assert got["x-real-ip"] == ["127.0.0.1"]
        assert got["x-forwarded-proto"] == ["http"]
        assert got["x-forwarded-host"] == ["shop.example"]
        assert len(got["x-forwarded-for"]) == 1
        assert "203.0.113" not in got["x-forwarded-for"][0]
        assert len(got["x-request-id"][0]) == 36


async def test_what_a_client_may_say_reaches_the_service(folder: Path, start: Start) -> None:
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        got = await heard(
            door, "X-Request-Id: r-17", "Authorization: Bearer t", "Cookie: a=b", "X-Api-Version: 2", "Accept: a/b",
            "X-Mine: 1", "Accept-Language: de",
        )  # fmt: skip
        for name, value in (
            ("x-request-id", "r-17"), ("authorization", "Bearer t"), ("cookie", "a=b"), ("x-api-version", "2"),
            ("accept", "a/b"), ("x-mine", "1"), ("accept-language", "de"),
        ):  # fmt: skip
            assert got[name] == [value]


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X_Pillion_Carry", "x_request_id", "X-Real_Ip", "_"])
async def test_underscores_smuggle_nothing(folder: Path, start: Start, name: str) -> None:
    """WSGI makes X_A and X-A one variable, so a name with an underscore never reaches a service."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        got = await heard(door, f"{name}: smuggled")
        assert "smuggled" not in str(got)


@pytest.mark.parametrize("named", ["x-request-id", "x-forwarded-for", "x-real-ip", "authorization"])
async def test_no_header_can_be_removed_by_naming_it_in_connection(
    folder: Path, start: Start, named: str
) -> None:
    """A client can take away what he sent himself, never what the gateway adds."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        data = request("/x", f"Connection: close, {named}", "Authorization: Bearer t")
        reply = await send(door.address, data)
        if reply.status != 400:  # Envoy refuses to have forwarding headers named
            got = dict(reply.json["all"])
            assert got.keys() >= {"x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"}
            assert named not in got.get("connection", "")


@pytest.mark.parametrize(
    ("lines", "host"),
    [
        (("Host: evil.example",), "shop.example"),
        (("Transfer-Encoding: chunked", "Content-Length: 3"), "shop.example"),
        (("Content-Length: 3", "Content-Length: 4"), "shop.example"),
        (("Transfer-Encoding: chunked, identity",), "shop.example"),
        (("Transfer-Encoding: xchunked",), "shop.example"),
        (("Content-Length: -1",), "shop.example"),
        (("Content-Length: +3",), "shop.example"),
        (("X-A: a\0b",), "shop.example"),
        (("X-A : b",), "shop.example"),
        ((" folded: b",), "shop.example"),
        ((), ""),
        ((), "evil example"),
        ((), "shop.example, evil.example"),
        ((), "shop.example@evil.example"),
        ((), "shop.example/evil"),
        ((), "shop.example:8x"),
    ],
)
async def test_ambiguous_requests_are_refused(
    folder: Path, start: Start, lines: tuple[str, ...], host: str
) -> None:
    """What two parsers could read in two ways reaches no service."""
    reached: list[str] = []
    async with echo("site", lambda request: reached.append(request.path) or 200) as port:
        door = start(Door(folder, site(port)))
        reply = await send(door.address, request("/x", *lines, method="POST", host=host, body=b"0\r\n\r\n"))
        assert reply.status in (0, 400, 501), reply
        assert reached == []


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/a/../b", "/b"), ("/a/%2e%2e/b", "/b"), ("/a/%2E%2e/b", "/b"), ("/a/.%2e/b", "/b"), ("/./a", "/a"),
        ("//a///b", "/a/b"), ("/a//../b", "/a/b"), ("/a\\..\\b", "/b"), ("/a%41", "/aA"), ("/a?b=/../c", "/a?b=/../c"),
        ("/a;x=1", "/a;x=1"), ("/../../etc/passwd", "/etc/passwd"), ("http://evil.example/a", "/a"), ("/a%2Fb", None),
        ("/a%2fb", None), ("/a%5Cb", None), ("/a%5c..%5cb", None), ("/a%00b", None), ("/a/%2e%2e%2fb", None),
        ("*", None), ("a/b", None), ("", None),
    ],
)  # fmt: skip
async def test_a_path_is_judged_as_the_service_sees_it(
    folder: Path, start: Start, target: str, seen: str | None
) -> None:
    """Normalised, or refused where it could be read in two ways (None)."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        reply = await send(door.address, request(target))
        if seen is None:
            assert reply.status in (0, 400, 404), reply
        else:
            assert (reply.status, reply.json["path"]) == (200, seen)


async def test_the_authority_of_an_absolute_target_counts(folder: Path, start: Start) -> None:
    """RFC 9112, 3.2.2: Host is ignored then, and services are told one host only."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        got = await heard(door, target="http://real.example/x", host="other.example")
        assert got["host"] == got["x-forwarded-host"] == ["real.example"]


@pytest.mark.parametrize(
    "host", ["shop.example", "SHOP.example:8080", "127.0.0.1:1", "[::1]:8080", "a_b-c.d"]
)
async def test_hosts_are_told_as_they_were_named(folder: Path, start: Start, host: str) -> None:
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        assert (await heard(door, host=host))["x-forwarded-host"] == [host]


async def test_a_way_around_a_prefix_leads_nowhere(folder: Path, start: Start) -> None:
    """Whatever the spelling, what comes to a service is below its own prefix."""
    async with echo("open") as public, echo("admin") as admin:
        known = catalog(
            open=Service("open", (instance(public),), ("/open",)),
            admin=Service("admin", (instance(admin),), ("/admin",)),
        )
        door = start(Door(folder, known))
        for target in (
            "/open/../admin", "/open/%2e%2e/admin", "/open//../../admin", "//admin", "/open/..;/admin",
            "/open/..%2fadmin", "/open/%2e%2e%2fadmin", "/open/..%5cadmin", "/open\\..\\admin", "/ADMIN", "/admin%00",
        ):  # fmt: skip
            reply = await send(door.address, request(target))
            if reply.status == 200:
                got = reply.json
                assert got["path"].startswith(f"/{got['name']}"), target
            else:
                assert reply.status in (400, 404), (target, reply)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_methods_for_proxies_are_refused(folder: Path, start: Start, method: str) -> None:
    reached: list[str] = []
    async with echo("site", lambda request: reached.append(request.path) or 200) as port:
        door = start(Door(folder, site(port)))
        target = "evil.example:443" if method == "CONNECT" else "/x"
        reply = await send(door.address, request(target, method=method, host="evil.example:443"))
        assert reply.status in (400, 403, 404, 405), reply
        assert reached == []


@pytest.mark.parametrize("protocol", ["h2c", "foo", "TLS/1.0", "websocket, foo"])
async def test_only_websockets_are_upgraded(folder: Path, start: Start, protocol: str) -> None:
    """Any other protocol is refused, or the request goes on without the wish."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        reply = await send(
            door.address,
            request(
                "/x",
                "Connection: Upgrade, HTTP2-Settings",
                f"Upgrade: {protocol}",
                "HTTP2-Settings: AAMAAABk",
            ),
        )
        assert reply.status in (200, 403)
        if reply.status == 200:
            assert "upgrade" not in dict(reply.json["all"])


async def test_large_headers_are_refused(folder: Path, start: Start) -> None:
    """More than 60 KiB, or more than a hundred."""
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        for lines in (["X-A: " + "a" * 70_000], [f"X-{number}: a" for number in range(200)]):
            reply = await send(door.address, request("/x", *lines))
            assert reply.status == 431, reply
        assert (await send(door.address, request("/x", "X-A: " + "a" * 3_000))).status == 200


@pytest.mark.parametrize("tracing", [{}, {"endpoint": "http://127.0.0.1:4318", "sample": 0.0}])
@pytest.mark.parametrize("flags", ["00", "01", "ff"])
async def test_no_stranger_decides_what_is_traced(
    folder: Path, start: Start, tracing: Mapping[str, Any], flags: str
) -> None:
    """Anybody could else have every request traced, which halves what an Envoy can do."""
    async with echo("site") as port:
        door = start(Door(folder, site(port), {"tracing": tracing}))
        got = await heard(door, f"traceparent: 00-{TRACE}-{PARENT}-{flags}", "tracestate: a=b")
        parents = got.get("traceparent", [])
        assert all(one.endswith("-00") for one in parents)
        if tracing:
            assert parents[0].split("-")[1] == TRACE  # his own records can still be found


@pytest.mark.parametrize(
    ("trace", "same", "sampled"),
    [("trust", True, True), ("restart", False, False), ("resample", True, False)],
)
async def test_the_settings_say_what_of_a_trace_is_believed(
    folder: Path, start: Start, trace: str, same: bool, sampled: bool
) -> None:
    over = {"tracing": {"endpoint": "http://127.0.0.1:4318", "sample": 0.0}, "gateway": {"trace": trace}}
    async with echo("site") as port:
        door = start(Door(folder, site(port), over))
        got = (await heard(door, f"traceparent: 00-{TRACE}-{PARENT}-01"))["traceparent"][0].split("-")
        assert (got[1] == TRACE, got[3] == "01") == (same, sampled)


async def test_our_own_sampling_counts_for_a_strangers_trace(folder: Path, start: Start) -> None:
    """He said that it was not sampled; the gateway's share is all."""
    async with echo("site") as port:
        door = start(
            Door(folder, site(port), {"tracing": {"endpoint": "http://127.0.0.1:4318", "sample": 1.0}})
        )
        got = await heard(door, f"traceparent: 00-{TRACE}-{PARENT}-00")
        assert got["traceparent"][0].split("-")[1::2] == [TRACE, "01"]


async def test_refusals_are_problem_documents(folder: Path, start: Start) -> None:
    async with echo("site") as port:
        door = start(Door(folder, site(port)))
        for data, status in (
            (request("/x", method="TRACE"), 405),
            (request("/x", "X-A: " + "a" * 70_000), 431),
            (request("/a%2Fb"), 400),
            (request("/a", "Host: evil.example"), 400),
        ):
            reply = await send(door.address, data)
            assert reply.status == status
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json["status"] == status


async def test_what_follows_an_upgrade_that_the_service_did_not_take_never_reaches_it(
    folder: Path, start: Start
) -> None:
    """A server that reads on would take it for a request that nobody has judged."""
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        read.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        door = start(Door(folder, known, {"gateway": {"max_body": 1000}}))
        asked = request(
            "/x", "Connection: Upgrade", "Upgrade: websocket", body=request("/admin", "X-User: root")
        )
        assert (await send(door.address, asked)).status == 200
        await until(lambda: len(read) == 2)
        assert read[0].startswith(b"GET /x ")
        assert read[1] == b""
