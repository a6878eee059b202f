"""Hosts outside the mesh, and those that only look like it."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from agent.demo import backing
from agent.model.address import Address
from agent.model.catalog import Service
from agent.proxy.admin import EnvoyAdmin
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import opened
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance, with_otlp

TRACED = {"tracing": {"endpoint": "http://127.0.0.1:1", "sample": 1.0}}
GET = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@dataclass
class Stranger:
    """Keeps every byte that it gets and answers what it is told to."""

    answer: bytes = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    heads: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    def headers(self, n: int = -1) -> list[tuple[str, str]]:
        """The headers of a request in their order, names in lower case."""
        lines = self.heads[n].decode().split("\r\n")[1:-2]
        return [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]


@asynccontextmanager
async def stranger(answer: bytes = Stranger.answer) -> AsyncIterator[Stranger]:
    """A server that speaks by hand."""
    found = Stranger(answer)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


async def say(sidecar: Sidecar, request: str | bytes, then: bytes = b"") -> tuple[int, bytes]:
    """Status and whole answer of a request written by hand to the outbound; ``then`` goes through a tunnel."""
    address = Address.parse(sidecar.settings.proxy.outbound)
    async with asyncio.timeout(60), opened(address) as (reader, writer):
        writer.write(request.encode() if isinstance(request, str) else request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if then and status == 200:
            writer.write(then)
        # Not to the end: Envoy waits a second after an answer of its own before it closes.
        length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
        return status, head + await (reader.readexactly(int(length[1])) if length else reader.read())


def request(url: str, *headers: str, host: str = "") -> str:
    """A GET in the form that proxies get."""
    lines = [f"GET {url} HTTP/1.1", f"Host: {host or url.split('/')[2]}", *headers, "Connection: close"]
    return "\r\n".join(lines) + "\r\n\r\n"


def connect(target: str, *headers: str) -> str:
    """A CONNECT."""
    return "\r\n".join([f"CONNECT {target} HTTP/1.1", f"Host: {target}", *headers]) + "\r\n\r\n"


OURS = (
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b", "X-Request-Id: r1",
    "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive",
    "X-Forwarded-Proto: http",
)  # fmt: skip


@pytest.mark.parametrize("ours", [(), OURS], ids=["nothing of ours", "what a service sets itself"])
async def test_a_stranger_gets_exactly_what_the_client_sent(
    folder: Path, start: Start, ours: tuple[str, ...]
) -> None:
    """Every header is compared, with tracing at full rate; what belongs to the mesh stays in it, whoever set it."""
    theirs = (
        "User-Agent: me/1", "Accept: */*", "Cookie: a=b", "Authorization: Bearer t", "X-Mine: 1", "Baggage: k=v",
        "X-Forwarded-For: 10.0.0.1", "Forwarded: for=1", "B3: 0", "TE: trailers",
    )  # fmt: skip
    async with stranger() as away:
        sidecar = start(Sidecar(folder, catalog(), TRACED, change=with_otlp))
        status, _ = await say(sidecar, request(f"http://127.0.0.1:{away.port}/x?q=1", *theirs, *ours))
        assert status == 204
        assert away.heads[0].startswith(b"GET /x?q=1 HTTP/1.1\r\n")
        sent = {(name.lower(), value) for name, value in (line.split(": ", 1) for line in theirs)}
        got = away.headers()
        assert len(got) == len(set(got))
        assert set(got) - {("connection", "close")} - sent == {("host", f"127.0.0.1:{away.port}")}
        # TE is of the hop and not the client's to the stranger.
        assert sent - set(got) <= {("te", "trailers")}


async def test_a_stranger_at_the_port_of_our_own_listener_sees_no_mark(folder: Path, start: Start) -> None:
    """Only an address of this machine is marked, to find loops."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]
    sidecar = start(Sidecar(folder, catalog()))
    port = Address.parse(sidecar.settings.proxy.outbound).port
    away = Stranger()
    server = await asyncio.start_server(away.serve, own, port)
    async with server:
        status, _ = await say(sidecar, request(f"http://{own}:{port}/x", "x-pillion-hop: 1"))
        assert (status, away.heads) == (508, []), "a client's own mark is taken for ours"
        status, _ = await say(sidecar, request(f"http://{own}:{port}/x", "x-pillion-trace: 1"))
    assert status == 204
    assert {name for name, _ in away.headers()} <= {"host", "connection"}


async def test_a_redirect_to_a_stranger_takes_nothing_along(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """From a service of the mesh, which gets trace and request id, to a host outside of it."""
    async with stranger() as away:
        location = f"http://127.0.0.1:{away.port}/there"
        moved = (
            f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        async with stranger(moved.encode()) as orders:
            sidecar = start(
                Sidecar(folder, catalog(orders=[instance(orders.port)]), TRACED, change=with_otlp)
            )
            async with http.get("http://orders/", proxy=sidecar.outbound) as answer:
                assert answer.status == 204
                assert str(answer.url) == location
        inside, outside = dict(orders.headers()), dict(away.headers())
        assert {"traceparent", "x-request-id"} <= set(inside)
        assert set(outside) <= {"host", "accept", "accept-encoding", "user-agent"}


async def test_a_tunnel_carries_the_clients_bytes_and_no_others(folder: Path, start: Start) -> None:
    """Whatever is said to the proxy stays there."""
    async with stranger() as away:
        sidecar = start(Sidecar(folder, catalog(), TRACED, change=with_otlp))
        status, _ = await say(sidecar, connect(f"127.0.0.1:{away.port}", *OURS), GET)
        assert status == 200
        assert away.heads == [GET]


LOOPBACK = (
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.0.0.1.",
    "0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "ip6-localhost",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "me.example", "10.9.8.7",
)  # fmt: skip


async def test_no_name_of_this_machine_leads_round_through_our_own_listeners(
    folder: Path, start: Start
) -> None:
    """The outbound's own port, an explicit one and the inbound's: 508 for requests and tunnels, before any look-up."""
    own = backing.free_port()
    over = {"upstreams": {"orders": {"port": own}}}
    sidecar = start(Sidecar(folder, catalog(), over, hosts=("me.example", "10.9.8.7")))
    ports = [
        Address.parse(one).port for one in (sidecar.settings.proxy.outbound, sidecar.settings.proxy.inbound)
    ]
    wrong = {}
    for host in LOOPBACK:
        for port in (*ports, own):
            for line in (request(f"http://{host}:{port}/"), connect(f"{host}:{port}")):
                status, _ = await say(sidecar, line)
                if status != 508:
                    wrong[line.split(" HTTP")[0]] = status
    assert wrong == {}
    found = await sidecar.counters("external_hosts.upstream_rq_total")
    assert found["cluster.external_hosts.upstream_rq_total"] == 0


async def test_the_agents_own_api_is_not_reached_through_the_sidecar(folder: Path, start: Start) -> None:
    """It trusts programs on this machine; they have it in NO_PROXY."""
    async with echo("agent") as port:
        sidecar = start(Sidecar(folder, catalog(), {"admin": {"listen": f"127.0.0.1:{port}"}}))
        for host in LOOPBACK[:-2]:
            for line in (request(f"http://{host}:{port}/"), connect(f"{host}:{port}")):
                assert (await say(sidecar, line))[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "example.invalid",
        "127.0.0.1:1",
        "10.255.255.1",
        "[2001:db8::1]:80",
        "s3.amazonaws.com",
        "com",
        "a.com.svc",
    ],
)
async def test_registry_only_refuses_every_stranger_in_words_and_counts_it(
    folder: Path, start: Start, host: str
) -> None:
    """Names, addresses, requests, tunnels; the mesh still works, and nothing else is counted."""
    async with echo("orders") as port:
        over = {"outbound": {"policy": "registry_only"}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)]), over))
        target = host if host.rpartition(":")[2].isdigit() else f"{host}:443"
        for line in (request(f"http://{host}/"), connect(target)):
            status, body = await say(sidecar, line)
            assert status == 502
            assert b"registry_only" in body
        assert (await say(sidecar, request("http://orders/")))[0] == 200
        status, body = await say(sidecar, connect("orders:80"), GET)
        assert (status, b'"orders"' in body) == (200, True)
        scrape = await EnvoyAdmin(sidecar.admin).metrics()
        assert "\nenvoy_pillion_outbound_refused{} 2\n" in scrape


HOSTILE = (
    "localhost", "consul", "wpad", "metadata", "kubernetes", "0x7f000001", "2130706433", "127", "s3.amazonaws.com",
    "ORDERS", "*", "a_b", "*.com",
)  # fmt: skip


async def test_a_service_captures_the_names_that_it_may_have_and_no_other(folder: Path, start: Start) -> None:
    """What others register under hostile names gets nothing, by any form of them; labels are harmless, even `com`."""
    async with echo("false") as false, echo("orders") as orders:
        known = catalog(
            **{name: Service(name, (instance(false),)) for name in HOSTILE},
            **{"com": [instance(orders, namespace="example")], "xn--80ak6aa92e": [instance(orders)]},
        )
        sidecar = start(Sidecar(folder, known, {"outbound": {"policy": "registry_only"}}))
        for name in HOSTILE:
            for host in (name, f"{name}.service.consul", f"{name}.pillion", f"{name}:80"):
                status, body = await say(sidecar, request(f"http://{host}/", host=host))
                assert b'"false"' not in body, host
                assert status != 200, host
        for host in (
            "com",
            "com:8080",
            "COM",
            "com.",
            "com.example.svc",
            "xn--80ak6aa92e",
            "com.service.consul",
        ):
            status, body = await say(sidecar, request(f"http://{host}/"))
            assert (host, status, b'"orders"' in body) == (host, 200, True)
        for host in (
            "example.com",
            "com.example",
            "www.com",
            "com.other.svc",
            "xn--80ak6aa92e.com",
            "com..",
            "com.pillion.x",
        ):
            assert (host, (await say(sidecar, request(f"http://{host}/")))[0]) == (host, 502)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}@orders/", "http://orders:x@orders/", "http://orders\\@h/",
     "http://orders:99999/", "http://orders:/", "http://orders:abc/", "http://orders%00.example/", "http:///x", "ftp://orders/"],
)  # fmt: skip
async def test_odd_forms_of_a_host_reach_the_service_or_are_refused(
    folder: Path, start: Start, url: str
) -> None:
    """Nobody else ever gets what looks like the name of a service."""
    async with echo("orders") as orders, stranger() as away:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(orders)])))
        line = request(url.format(port=away.port), host="orders")
        status, body = await say(sidecar, line)
        reached = b'"orders"' in body and status == 200
        assert reached or status in (400, 404, 502, 503), body
        assert away.heads == []


async def test_the_host_of_the_request_line_counts_and_not_the_header(folder: Path, start: Start) -> None:
    """RFC 9112, 3.2.2; else a header could lead a request for a stranger into the mesh."""
    async with echo("orders") as orders, echo("stranger") as away:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(orders)])))
        _, body = await say(sidecar, request(f"http://127.0.0.1:{away}/", host="orders"))
        assert b'"stranger"' in body
        for url in ("http://orders/", f"http://127.0.0.1:{away}@orders/"):
            _, body = await say(sidecar, request(url, host=f"127.0.0.1:{away}"))
            assert b'"name": "orders"' in body
        _, body = await say(sidecar, request(f"http://orders@127.0.0.1:{away}/", host="orders"))
        assert b'"stranger"' in body
        assert b"orders" not in body


@pytest.mark.parametrize(
    "target", ["orders:80", "orders:8080", "ORDERS:80", "orders.:80", "orders.service.consul:80"]
)
async def test_a_tunnel_to_a_service_carries_plain_http(folder: Path, start: Start, target: str) -> None:
    """At any port but 443."""
    async with echo("orders") as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)])))
        status, body = await say(sidecar, connect(target), GET)
    assert (status, b'"name": "orders"' in body) == (200, True)


@pytest.mark.parametrize("target", ["orders:443", "ORDERS.pillion:443", "orders.:443"])
async def test_a_tunnel_for_tls_to_a_service_says_why_not(folder: Path, start: Start, target: str) -> None:
    """Port 443 is where clients start TLS, which no sidecar answers."""
    async with echo("orders") as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)])))
        status, body = await say(sidecar, connect(target))
    assert status == 502
    assert b"use http://orders/ without TLS" in body


async def test_tls_within_a_tunnel_to_a_service_ends_in_an_error_and_not_in_silence(
    folder: Path, start: Start
) -> None:
    """At a port that does not tell: the instance's sidecar answers 400 to what is no HTTP."""
    service = start(Sidecar(folder / "s", catalog()))
    inbound = int(service.inbound.rsplit(":", 1)[1])
    sidecar = start(Sidecar(folder / "c", catalog(orders=[instance(inbound)])))
    hello = bytes.fromhex("16030100310100002d0303") + bytes(32) + bytes.fromhex("000006130113021303010000")
    _, body = await say(sidecar, connect("orders:8443"), hello)
    assert b"400 Bad Request" in body


async def test_a_tunnel_to_a_service_without_instances_says_so(folder: Path, start: Start) -> None:
    sidecar = start(Sidecar(folder, catalog(orders=[])))
    status, body = await say(sidecar, connect("orders:80"))
    assert status == 503
    assert b"No passing instance" in body
