"""What the service's own requests meet."""

import asyncio
import os
import signal
import socket
import urllib.request
from pathlib import Path

import aiohttp
import pytest
import requests
from aiohttp import web

from agent.demo import backing
from agent.model.address import Address
from agent.model.catalog import Service
from agent.proxy.environment import service_environment
from tests.integration.proxy_plan import breaking
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import opened
from tests.integration.proxy_plan.rig import Gunicorn, Sidecar, catalog, echo, instance, with_otlp
from tests.waiting import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "host",
    [
        "orders", "ORDERS", "orders:8080", "orders.", "orders.service.consul", "Orders.Service.Consul.:80",
        "orders.pillion", "orders.prod.svc", "orders.prod.svc.cluster.local:9000",
    ],
)  # fmt: skip
async def test_every_form_of_a_service_name_leads_to_it(
    folder: Path, start: Start, http: aiohttp.ClientSession, host: str
) -> None:
    """Labels, Consul's and Kubernetes' forms, with ports, trailing dots and upper case."""
    async with echo("orders") as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port, namespace="prod")])))
        async with http.get(f"http://{host}/a?b=c", proxy=sidecar.outbound) as answer:
            assert answer.status == 200
            got = await answer.json()
        assert (got["name"], got["path"]) == ("orders", "/a?b=c")


async def test_requests_and_urllib_follow_the_environment(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unmodified client needs nothing but the variables."""
    service = start(Gunicorn(folder / "s", name="orders"))
    sidecar = start(Sidecar(folder / "e", catalog(orders=[instance(service.port)])))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    outbound = Address.parse(sidecar.settings.proxy.outbound)
    for name, value in service_environment(outbound, {}, {}).items():
        monkeypatch.setenv(name, value)

    def both() -> tuple[str, str]:
        # A fresh opener, as a fresh process has: the module keeps the first one with the variables of that time.
        with urllib.request.build_opener().open("http://orders/x", timeout=60) as answer:
            first = answer.read().decode()
        return first, requests.get("http://orders.service.consul/y", timeout=60).text

    first, second = await asyncio.to_thread(both)
    assert '"orders"' in first
    assert '"orders"' in second


async def test_curl_follows_the_environment(folder: Path, start: Start) -> None:
    """It reads the lower case only."""
    async with echo("orders") as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)])))
        outbound = Address.parse(sidecar.settings.proxy.outbound)
        env = {"PATH": os.environ["PATH"], **service_environment(outbound, {}, {})}
        curl = await asyncio.create_subprocess_exec("curl", "-sS", "http://orders/x", env=env, stdout=-1)
        out, _ = await curl.communicate()
    assert b'"name": "orders"' in out


async def test_an_explicit_port_leads_to_its_upstream(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """For clients without a proxy; the service sees its own name as host."""
    async with echo("orders") as port:
        own = backing.free_port()
        over = {"upstreams": {"*": {}, "orders": {"port": own}}}
        start(Sidecar(folder, catalog(orders=[instance(port)]), over))
        async with http.get(f"http://127.0.0.1:{own}/x") as answer:
            got = await answer.json()
    assert got["name"] == "orders"
    assert got["headers"]["host"] == "orders"


async def test_an_unknown_host_is_reached_without_our_headers(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Trace context, request id and proxy credentials stay inside, with tracing switched on too."""
    async with echo("stranger") as port:
        over = {"tracing": {"endpoint": "http://127.0.0.1:1", "sample": 1.0}}
        sidecar = start(Sidecar(folder, catalog(), over, change=with_otlp))
        sent = {
            "traceparent": TRACE, "tracestate": "a=b", "X-Request-Id": "r1",
            "Proxy-Authorization": "Basic eA==", "X-Mine": "kept",
        }  # fmt: skip
        async with http.post(
            f"http://127.0.0.1:{port}/x", data="hi", headers=sent, proxy=sidecar.outbound
        ) as answer:
            assert answer.status == 200
            got = await answer.json()
    assert got["name"] == "stranger"
    assert got["body"] == "hi"
    assert got["headers"]["x-mine"] == "kept"
    allowed = {"host", "accept", "accept-encoding", "user-agent", "content-length", "content-type", "x-mine"}
    assert set(got["headers"]) <= allowed


async def connect(sidecar: Sidecar, target: str, then: bytes = b"") -> bytes:
    """The answer to a CONNECT, and to what is sent through the tunnel."""
    address = Address.parse(sidecar.settings.proxy.outbound)
    async with asyncio.timeout(60), opened(address) as (reader, writer):
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " in head:
            writer.write(then)
        return head + await reader.read()


async def test_a_tunnel_leads_to_a_stranger_and_to_a_service(folder: Path, start: Start) -> None:
    """Plain HTTP in the tunnel reaches both; TLS to a service is refused in words."""
    async with echo("orders") as orders, echo("stranger") as stranger:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(orders)])))
        get = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert b'"stranger"' in await connect(sidecar, f"127.0.0.1:{stranger}", get)
        assert b'"orders"' in await connect(sidecar, "orders:80", get)
        refused = await connect(sidecar, "orders:443")
    assert refused.startswith(b"HTTP/1.1 502")
    assert b"http://orders/" in refused


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "myself.example", "127.1"])
async def test_a_request_to_our_own_listener_is_answered_508(
    folder: Path, start: Start, http: aiohttp.ClientSession, host: str
) -> None:
    """It would go round until something breaks."""
    sidecar = start(Sidecar(folder, catalog(), hosts=("myself.example",)))
    port = sidecar.settings.proxy.outbound.rsplit(":", 1)[1]
    async with http.get(f"http://{host}:{port}/", proxy=sidecar.outbound) as answer:
        assert answer.status == 508


async def test_a_loop_by_another_name_ends_after_one_round(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A name that DNS resolves to this machine is not on the list of our own names."""
    name = socket.gethostname()
    try:
        if not socket.gethostbyname(name).startswith("127."):
            pytest.skip(f"{name} does not resolve to a loopback address here")
    except OSError:
        pytest.skip(f"{name} does not resolve here")
    sidecar = start(Sidecar(folder, catalog()))
    port = sidecar.settings.proxy.outbound.rsplit(":", 1)[1]
    async with http.get(f"http://{name}:{port}/", proxy=sidecar.outbound) as answer:
        assert answer.status == 508
    found = await sidecar.counters("external_hosts.upstream_rq_total")
    assert found["cluster.external_hosts.upstream_rq_total"] == 1


async def test_registry_only_refuses_strangers_with_a_sentence(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Requests and tunnels alike; services still work."""
    async with echo("orders") as port:
        over = {"outbound": {"policy": "registry_only"}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)]), over))
        async with http.get("http://example.org/", proxy=sidecar.outbound) as answer:
            assert answer.status == 502
            assert "registry_only" in (await answer.json(content_type=None))["detail"]
        async with http.get("http://orders/", proxy=sidecar.outbound) as answer:
            assert answer.status == 200
        assert (await connect(sidecar, "example.org:443")).startswith(b"HTTP/1.1 502")


async def test_names_that_are_not_there_say_so(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A declared upstream without instances, a service beyond the limit, a host that nobody knows."""
    over = {"upstreams": {"*": {}, "ghost": {}}}
    sidecar = start(Sidecar(folder, catalog("late"), over))
    for host, title in (
        ("ghost", "No instance is available"), ("late", "Beyond the limit"), ("no.such.host.invalid", "Unknown host"),
    ):  # fmt: skip
        async with http.get(f"http://{host}/", proxy=sidecar.outbound) as answer:
            assert answer.status == 503
            assert answer.content_type == "application/problem+json"
            assert title in (await answer.json(content_type=None))["title"]


async def test_an_instance_killed_under_load_costs_no_idempotent_request(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Requests that were under way on it are repeated on the other."""
    two = [start(Gunicorn(folder / str(n), "--worker-class", "gthread", "--threads", "8")) for n in range(2)]
    sidecar = start(Sidecar(folder / "e", catalog(orders=[instance(one.port) for one in two])))
    statuses: list[int] = []
    enough = 600

    async def load() -> None:
        while len(statuses) < enough:
            async with http.get("http://orders/", proxy=sidecar.outbound) as answer:
                statuses.append(answer.status)

    async def kill() -> None:
        await until(lambda: len(statuses) > 200, within=60)
        assert two[0].pid is not None
        os.killpg(two[0].pid, signal.SIGKILL)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(16):
            tasks.create_task(load())
        tasks.create_task(kill())
    assert set(statuses) == {200}
    found = await sidecar.counters("upstream_orders.upstream_rq_retry")
    assert found["cluster.upstream_orders.upstream_rq_retry"] > 0


async def broken(request: web.Request) -> web.Response:
    """Reads the request, then breaks the connection."""
    await request.read()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_post_that_reached_a_service_is_never_sent_again(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A GET in the same place is tried three times."""
    seen: list[str] = []

    async def count(request: web.Request) -> web.Response:
        seen.append(request.method)
        return await broken(request)

    async with echo(answer=count) as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)])))
        for method in ("POST", "PATCH", "GET", "PUT"):
            async with http.request(method, "http://orders/", proxy=sidecar.outbound) as answer:
                assert answer.status == 503
    assert {method: seen.count(method) for method in seen} == {"POST": 1, "PATCH": 1, "GET": 3, "PUT": 3}


async def test_a_gateway_error_is_tried_again_only_for_idempotent_methods(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """On another instance, where there is one."""
    posts: list[str] = []

    def refuse(request: web.Request) -> int:
        posts.append(request.method)
        return 503

    over = {"traffic": {"ejection_failures": 0}}
    async with echo(answer=refuse) as bad, echo("good") as good:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(bad), instance(good)]), over))
        for _ in range(20):
            async with http.get("http://orders/", proxy=sidecar.outbound) as answer:
                assert answer.status == 200
        statuses = []
        for _ in range(20):
            async with http.post("http://orders/", proxy=sidecar.outbound) as answer:
                statuses.append(answer.status)
    assert posts.count("POST") == statuses.count(503) > 0


async def test_a_post_is_tried_elsewhere_when_the_connection_was_never_made(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """It did not reach anything."""
    async with echo("good") as good:
        nothing = backing.free_port()
        over = {"traffic": {"ejection_failures": 0}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(nothing), instance(good)]), over))
        for _ in range(20):
            async with http.post("http://orders/", proxy=sidecar.outbound) as answer:
                assert answer.status == 200


async def test_a_full_circuit_breaker_answers_503_and_counts(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """One request at a time: of two at once, one overflows."""
    release = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with echo(answer=wait) as port:
        over = {"upstreams": {"orders": {"traffic": {"max_requests": 1, "retries": 0}}}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)]), over))

        async def one() -> tuple[int, str]:
            async with http.post("http://orders/", proxy=sidecar.outbound) as answer:
                if answer.status == 503:
                    release.set()
                return answer.status, await answer.text()

        answers = sorted(await asyncio.wait_for(asyncio.gather(one(), one()), 60))
        found = await sidecar.counters("upstream_orders")
    assert [status for status, _ in answers] == [200, 503]
    assert "Circuit open" in answers[1][1]
    assert found["cluster.upstream_orders.upstream_rq_active_overflow"] == 1


async def test_an_instance_that_keeps_failing_is_ejected(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """After so many 5xx answers in a row it rests; requests that can't be repeated go to the other then."""
    async with echo(answer=lambda _: 500) as bad, echo("good") as good:
        over = {"traffic": {"ejection_failures": 3}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(bad), instance(good)]), over))

        async def posted() -> int:
            async with http.post("http://orders/", proxy=sidecar.outbound) as answer:
                return answer.status

        while await _ejected(sidecar) == 0:
            await posted()
        # Its workers know by then: they read what comes later after what the main thread told them.
        assert {await posted() for _ in range(40)} == {200}
        assert await _ejected(sidecar) == 1


async def _ejected(sidecar: Sidecar) -> int:
    found = await sidecar.counters("outlier_detection.ejections_active")
    return found["cluster.upstream_orders.outlier_detection.ejections_active"]


async def test_the_own_zone_comes_first_and_the_other_takes_over(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """The other zone gets nothing while the own has an answering instance; then idempotent requests go there."""
    async with echo("far") as far:
        over = {"service": {"name": "front", "port": 1, "zone": "a"}}
        # A port that nobody else gets once it is free again.
        async with echo("near", port=backing.free_port()) as near:
            known = catalog(orders=[instance(near, zone="a"), instance(far, zone="b")])
            sidecar = start(Sidecar(folder, known, over))
            names = [await name_of(http, sidecar) for _ in range(20)]
        assert set(names) == {"near"}
        assert {await name_of(http, sidecar) for _ in range(20)} == {"far"}


async def name_of(http: aiohttp.ClientSession, sidecar: Sidecar) -> str:
    """The name of the instance that answered."""
    async with http.get("http://orders/", proxy=sidecar.outbound) as answer:
        assert answer.status == 200
        return str((await answer.json())["name"])


async def test_a_path_prefix_has_its_own_timeout(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Below the prefix the request is cut, beside it not."""

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(breaking.NEVER if request.path == "/quick/x" else 0.6)
        return web.Response()

    async with echo(answer=slow) as port:
        over = {"upstreams": {"orders": {"paths": [{"prefix": "/quick", "timeout": 0.2}]}}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)]), over))
        found = {}
        for path in ("/quick/x", "/quickly", "/other"):
            async with http.get(f"http://orders{path}", proxy=sidecar.outbound) as answer:
                found[path] = answer.status
    assert found == {"/quick/x": 504, "/quickly": 200, "/other": 200}


async def test_a_service_named_like_a_real_host_captures_nothing(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """`localhost` stays localhost, whatever somebody registers."""
    async with echo("true") as true, echo("false") as false:
        known = catalog(
            **{name: Service(name, (instance(false),)) for name in ("localhost", "127", "s3.amazonaws.com")}
        )
        sidecar = start(Sidecar(folder, known))
        for host in ("localhost", "127.0.0.1"):
            async with http.get(f"http://{host}:{true}/", proxy=sidecar.outbound) as answer:
                assert (await answer.json())["name"] == "true"
