"""One trace and one request id through services that do nothing for it."""

import asyncio
import contextlib
import json
import re
import sys
import urllib.request
import uuid
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent.demo import backing
from tests.acceptance.conftest import Mesh
from tests.acceptance.load import load
from tests.acceptance.test_configuration import put
from tests.commands import run
from tests.serving import closed
from tests.waiting import until

TRACING = {"sample": 1}


def whole(jaeger: backing.Jaeger, trace: str) -> Any:
    """A trace as Jaeger gives it; raises OSError, IndexError when it has none."""
    with urllib.request.urlopen(f"{jaeger.url}/api/traces/{trace}", timeout=30) as response:
        return json.load(response)["data"][0]


def spans(jaeger: backing.Jaeger, trace: str) -> list[dict[str, Any]]:
    """A trace's spans as Jaeger gives them, with ``service`` (its name) and ``parent`` (a span's id) added."""
    try:
        data = whole(jaeger, trace)
    except (OSError, IndexError):
        return []
    found: list[dict[str, Any]] = data["spans"]
    for span in found:
        span["service"] = data["processes"][span["processID"]]["serviceName"]
        span["parent"] = next((reference["spanID"] for reference in span["references"]), None)
    return found


async def chain(
    mesh: Mesh, jaeger: backing.Jaeger, carry: dict[str, bool]
) -> tuple[str, str, dict[str, Any]]:
    """Three services calling each other, asked once: the trace id, the request id sent and the answer."""
    tracing = {"endpoint": jaeger.endpoint, **TRACING}
    for name in ("inventory", "orders", "storefront"):
        mesh.service(name, label=name, settings={"tracing": {**tracing, "carry": carry.get(name, True)}})
    for instance in mesh.instances:
        await instance.ready()
    front = mesh.instances[-1]
    path = "/call/orders?path=call/inventory%3Fpath=headers"

    def through() -> bool:
        """Whether all three are in; the body is no object while the second one can't be asked."""
        inner = front.json(path, front.inbound)["body"]
        return isinstance(inner, dict) and inner.get("status") == 200

    await until(through, within=60)
    trace, request = uuid.uuid4().hex, f"req-{uuid.uuid4().hex[:12]}"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": request}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{front.inbound}{path}", headers=headers) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["X-Request-Id"] == request
        body: dict[str, Any] = await answer.json()
    return trace, request, body


async def test_one_trace_holds_all_hops_with_the_right_parents_and_one_request_id(
    mesh: Mesh, shared_jaeger: backing.Jaeger
) -> None:
    trace, request, body = await chain(mesh, shared_jaeger, {})
    assert body["seen"]["X-Request-Id"] == request
    assert body["body"]["seen"]["X-Request-Id"] == request
    assert body["body"]["body"]["X-Request-Id"] == request

    found = await until(
        lambda: len(spans(shared_jaeger, trace)) >= 5 and spans(shared_jaeger, trace), within=60
    )
    assert found
    by_id = {span["spanID"]: span for span in found}

    def path(span: dict[str, Any]) -> list[str]:
        above = by_id.get(span["parent"])
        return [*(path(above) if above else []), span["service"]]

    longest = max((path(span) for span in found), key=len)
    assert longest == ["storefront", "storefront", "orders", "orders", "inventory"]
    roots = [span for span in found if span["parent"] not in by_id]
    assert [span["service"] for span in roots] == ["storefront"]
    assert roots[0]["parent"] == "00f067aa0ba902b7"


async def test_a_service_without_the_hook_breaks_the_trace(mesh: Mesh, shared_jaeger: backing.Jaeger) -> None:
    trace, request, body = await chain(mesh, shared_jaeger, {"orders": False})
    assert body["seen"]["X-Request-Id"] == request
    assert body["body"]["body"]["X-Request-Id"] != request
    await until(lambda: len(spans(shared_jaeger, trace)) >= 3, within=60)
    assert "inventory" not in {span["service"] for span in spans(shared_jaeger, trace)}


async def pillion(jaeger: backing.Jaeger, *arguments: str) -> str:
    """What a command says that reads traces."""
    command = (sys.executable, "-m", "agent", *arguments, "--tracing-query", jaeger.url)
    return await asyncio.to_thread(partial(run, *command, within=60))


async def test_the_commands_show_where_the_time_of_a_request_went(
    mesh: Mesh, shared_jaeger: backing.Jaeger
) -> None:
    """`pillion trace` by the request's id, and `pillion bottlenecks`: five spans are three calls."""
    trace, request, _ = await chain(mesh, shared_jaeger, {})
    await until(lambda: len(spans(shared_jaeger, trace)) >= 5, within=60)
    found = json.loads(await pillion(shared_jaeger, "trace", request, "--json"))
    assert (found["trace"], found["settled"]) == (trace, True)
    assert [(hop["service"], len(hop["spans"])) for hop in found["hops"]] == [
        ("storefront", 1),
        ("orders", 2),
        ("inventory", 2),
    ]
    assert [hop["unanswered"] for hop in found["hops"]] == [False] * 3
    assert sum(hop["path_ms"] for hop in found["hops"]) == pytest.approx(found["duration_ms"])
    assert sum(hop["self_ms"] + hop["between_ms"] for hop in found["hops"]) == pytest.approx(
        found["duration_ms"]
    )

    shown = await pillion(shared_jaeger, "trace", trace, "--wait", "0")
    lines = [line for line in shown.splitlines() if "GET /" in line]
    tree = [re.sub(r"^.{29}", "", line).partition("  GET")[0] for line in lines]
    assert tree == ["storefront", "└─ orders", "   └─ inventory"]
    assert "has not told of itself" in shown  # the test is the caller

    ranking = json.loads(await pillion(shared_jaeger, "bottlenecks", "--service", "inventory", "--json"))
    names = {(one["service"], one["name"]) for one in ranking["operations"]}
    assert {("inventory", "GET /headers"), ("orders", "(network and sidecars)")} <= names
    assert sum(one["share"] for one in ranking["operations"]) == pytest.approx(1)
    shown = await pillion(shared_jaeger, "bottlenecks", "--limit", "9")
    assert "sampled" in shown


async def test_spans_tell_which_instance_of_which_version_they_are_of(
    mesh: Mesh, shared_jaeger: backing.Jaeger
) -> None:
    tracing = {
        "endpoint": shared_jaeger.endpoint,
        **TRACING,
        "attributes": {"deployment.environment.name": "test"},
    }
    orders = mesh.service("orders", settings={"service": {"version": "1.4.2"}, "tracing": tracing})
    await orders.ready()
    trace = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "order-17"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{orders.inbound}/headers?token=secret", headers=headers) as answer,
    ):
        assert answer.status == 200
    await until(lambda: spans(shared_jaeger, trace), within=60)
    data = whole(shared_jaeger, trace)
    (process,) = data["processes"].values()
    resource = {tag["key"]: tag["value"] for tag in process["tags"]}
    instance = orders.status()["agent"]["instance"]
    assert process["serviceName"] == "orders"
    assert (
        resource.items()
        >= {
            "service.version": "1.4.2",
            "service.instance.id": instance,
            "deployment.environment.name": "test",
            "telemetry.sdk.name": "envoy",
        }.items()
    )
    (span,) = data["spans"]
    tags = {tag["key"]: str(tag["value"]) for tag in span["tags"]}
    assert span["operationName"] == "orders"
    assert (
        tags.items()
        >= {
            "span.kind": "server",
            "node_id": instance,
            "guid:x-request-id": "order-17",
            "http.method": "GET",
            "http.status_code": "200",
            "upstream_cluster": "service_reuse",
            "upstream_attempts": "1",
        }.items()
    )
    assert tags["http.url"] == f"http://127.0.0.1:{orders.inbound}/headers"
    assert "secret" not in json.dumps(data)


async def test_the_share_of_sampled_requests_changes_without_a_restart(mesh: Mesh) -> None:
    """From none to all, by an override in Consul's KV, while requests go on and none fails."""
    tracing = {"endpoint": f"http://127.0.0.1:{backing.free_port()}", "sample": 0}
    orders = await mesh.service("orders", settings={"tracing": tracing}).ready()
    flag = lambda: orders.json("/headers", orders.inbound)["Traceparent"][-2:]  # noqa: E731
    assert flag() == "00"
    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 20)
        put(mesh, "pillion/orders", json.dumps({"tracing": {"sample": 1}}))
        await until(lambda: flag() == "01", within=30)
        sent = record.sent
        await until(lambda: record.sent > sent + 100)
    assert record.failures == []


@pytest.mark.parametrize("collector", ["is away", "refuses"])
async def test_a_collector_that_takes_no_spans_costs_no_request_and_does_not_fill_the_log(
    mesh: Mesh, collector: str
) -> None:
    """Its answers and the connections to it that fail are metrics; Envoy's own count of sent spans says nothing."""
    asked = 0

    async def refuse(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/v1/traces", refuse)
    port = backing.free_port()
    async with contextlib.AsyncExitStack() as last:
        if collector == "refuses":
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            last.push_async_callback(closed, runner)
            await web.TCPSite(runner, "127.0.0.1", port).start()
        await _costs_nothing(mesh, port, collector)
    assert (asked > 0) == (collector == "refuses")


async def _costs_nothing(mesh: Mesh, port: int, collector: str) -> None:
    tracing = {"endpoint": f"http://127.0.0.1:{port}", "sample": 1}
    orders = await mesh.service("orders", settings={"tracing": tracing}).ready()

    def counted() -> float:
        kind = (
            'upstream_rq_xx{envoy_response_code_class="5",'
            if collector == "refuses"
            else "upstream_cx_connect_fail{"
        )
        found = re.search(
            re.escape(f"envoy_cluster_{kind}") + r'envoy_cluster_name="otlp"\S* (\S+)',
            orders.get("/metrics")[1],
        )
        return float(found[1]) if found else 0.0

    written = len(orders.tail(10**6).splitlines())
    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 500 and counted() > 10, within=60)
    assert record.failures == []
    assert len(orders.tail(10**6).splitlines()) - written <= 2
