"""One trace and one request id through services that do nothing for it."""

import json
import urllib.request
import uuid
from typing import Any

import aiohttp

from agent.demo import backing
from tests.acceptance.conftest import Mesh
from tests.waiting import until

TRACING = {"sample": 1}


def spans(jaeger: backing.Jaeger, trace: str) -> list[dict[str, Any]]:
    """A trace's spans as Jaeger gives them, with ``service`` (its name) and ``parent`` (a span's id) added."""
    try:
        with urllib.request.urlopen(f"{jaeger.url}/api/traces/{trace}", timeout=2) as response:
            data = json.load(response)["data"][0]
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
    await until(lambda: json.loads(front.get(path, front.inbound)[1])["body"]["status"] == 200, within=20)
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
        lambda: len(spans(shared_jaeger, trace)) >= 5 and spans(shared_jaeger, trace), within=20
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
    await until(lambda: len(spans(shared_jaeger, trace)) >= 3, within=20)
    assert "inventory" not in {span["service"] for span in spans(shared_jaeger, trace)}
