"""Trace context on its way in: what is invalid never reaches the tracer or the service."""

import asyncio
import json
import math
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from agent.demo import backing
from agent.model.address import Address
from agent.proxy.snapshot import Snapshot
from agent.tracing.hops import hop
from agent.tracing.jaeger import Jaeger
from agent.tracing.tree import grown
from tests.integration.proxy_plan import w3c
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Door, Sidecar, catalog, echo, instance, settings, with_otlp
from tests.integration.proxy_plan.w3c import ID, SPAN
from tests.waiting import until

Ask = Callable[[Sequence[tuple[str, str]]], Awaitable[dict[str, list[str]]]]


def leading_to(port: int, snapshot: Snapshot) -> Snapshot:
    """The snapshot with a cluster for spans that leads to a local port."""
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    assignment = {"cluster_name": "otlp", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    clusters = {
        **snapshot.clusters,
        "otlp": {"name": "otlp", "type": "STATIC", "load_assignment": assignment},
    }
    return Snapshot(clusters, snapshot.endpoints, snapshot.listeners, snapshot.routes)


RULES = (*w3c.TRACEPARENT, *w3c.TRACESTATE, *w3c.UNSEEN)


@asynccontextmanager
async def listening(folder: Path, start: Start, side: str, over: dict[str, Any]) -> AsyncIterator[Ask]:
    """A way to send headers through one listener to a service that says which it got."""
    async with echo("orders") as port:
        known = catalog(orders=[instance(port)])
        if side == "gateway":
            # By default a gateway believes nothing of what strangers say of sampling.
            trusting = {**over, "gateway": {"trace": "trust"}}
            door = start(Door(folder, known, trusting, change=with_otlp))
            where, target, host = door.url, "/orders/", "shop.example"
        else:
            own = {**over, "service": {"name": "orders", "port": port}}
            sidecar = start(Sidecar(folder, known, own, change=with_otlp))
            inbound = side == "inbound"
            where, target = (sidecar.inbound, "/") if inbound else (sidecar.outbound, "http://orders/")
            host = "orders"

        async def ask(sent: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
            pairs = await raw(where, target, host, sent)
            assert not [name for name, _ in pairs if name.startswith("x-p-")]
            return {
                name: [value for key, value in pairs if key == name] for name in ("traceparent", "tracestate")
            }

        yield ask


async def raw(where: str, target: str, host: str, sent: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The header fields that the service got of a request with these, sent byte by byte as they are here."""
    address = Address.parse(where.removeprefix("http://"))
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in sent]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        return [
            (name, value) for name, value in json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["all"]
        ]
    finally:
        writer.close()


def deviation(row: w3c.Row, got: dict[str, list[str]], *, traced: bool) -> str:
    """What is wrong with what the service got; empty where the rule was followed."""
    state = [member.strip(" \t") for value in got["tracestate"] for member in value.split(",")]
    if (traced and len(got["tracestate"]) > 1) or tuple(member for member in state if member) != row.state:
        return f"tracestate {got['tracestate']}"
    parents = got["traceparent"]
    if not traced:
        sent = {name.lower(): value.strip() for name, value in row.sent}
        expected = [sent["traceparent"]] if row.parent == "kept" else []
        return "" if parents == expected else f"traceparent {parents}"
    form = (
        re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", parents[0]) if len(parents) == 1 else None
    )
    if form is None or form[2] in {w3c.SPAN, "0" * 16} or form[1] == "0" * 32:
        return f"traceparent {parents}"
    sampled = row.sampled if row.parent == "kept" else True
    same = form[1] == w3c.ID
    return "" if (same, form[3] == "01") == (row.parent == "kept", sampled) else f"traceparent {parents}"


@pytest.mark.parametrize("side", ["inbound", "outbound", "gateway"])
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "forwarding"])
async def test_trace_context_is_treated_as_the_w3c_says(
    folder: Path, start: Start, side: str, traced: bool
) -> None:
    """Every row of the table through the listener to a service; with a tracer (section 4.3) and as a proxy without
    one (4.4), which changes nothing that is valid: several tracestate headers stay several."""
    over = {"tracing": {"endpoint": "http://127.0.0.1:9", "sample": 1.0}} if traced else {}
    async with listening(folder, start, side, over) as ask:
        found = {str(row): deviation(row, await ask(row.sent), traced=traced) for row in RULES}
    assert {row: wrong for row, wrong in found.items() if wrong} == {}


async def test_calls_of_one_request_are_children_of_the_same_parent(folder: Path, start: Start) -> None:
    """Section 3.4: each outgoing request has a parent id of its own, and the trace stays."""
    async with listening(folder, start, "outbound", {"tracing": {"endpoint": "http://127.0.0.1:9"}}) as ask:
        seen = [(await ask((("traceparent", w3c.VALID),)))["traceparent"][0].split("-") for _ in range(5)]
    assert {parts[1] for parts in seen} == {w3c.ID}
    assert len({parts[2] for parts in seen}) == 5


@pytest.mark.parametrize(
    ("sample", "flags", "spans"), [(0.0, "01", True), (1.0, "00", False), (1.0, "", True), (0.0, "", False)]
)
async def test_the_callers_sampling_decision_goes_before_the_share(
    folder: Path, start: Start, http: aiohttp.ClientSession, sample: float, flags: str, spans: bool
) -> None:
    """Spans leave for the OTLP endpoint if the parent was sampled, or if there is none and the share says so."""
    got: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        assert request.path == "/v1/traces"
        got.append(await request.read())
        return web.Response()

    async with echo("orders") as port, echo(answer=collect) as otlp:
        over = {
            "service": {"name": "orders", "port": port},
            "tracing": {"endpoint": f"http://127.0.0.1:{otlp}/", "sample": sample, "operation": "serve 100%"},
        }

        sidecar = start(Sidecar(folder, catalog(), over, change=partial(leading_to, otlp)))
        # An id that is no UUID must not keep a request from being sampled.
        sent = {"X-Request-Id": "order-17", **({"traceparent": f"00-{ID}-{SPAN}-{flags}"} if flags else {})}
        for _ in range(5):
            async with http.get(sidecar.inbound, headers=sent) as answer:
                parent = (await answer.json())["headers"]["traceparent"]
        assert parent.endswith("-01" if spans else "-00")
        if spans:
            await until(lambda: b"".join(got).count(b"serve 100%") >= 5, within=60)
            assert b"orders" in got[0]
            assert (bytes.fromhex(ID) in b"".join(got)) == bool(flags)
        else:
            counters = await sidecar.counters("tracing.opentelemetry")
            assert counters.get("tracing.opentelemetry.spans_sent", 0) == 0
            assert got == []
        if flags:
            assert parent.split("-")[1] == ID


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
async def test_as_many_traces_begin_sampled_as_were_asked_for(
    folder: Path, start: Start, share: float
) -> None:
    """Of 2,000 requests; six standard deviations are let pass, which chance exceeds once in 500 million runs.

    Those that are not sampled have ids all the same, so that logs can name them.
    """
    count = 2000
    async with listening(
        folder, start, "inbound", {"tracing": {"endpoint": "http://127.0.0.1:9", "sample": share}}
    ) as ask:
        turns = asyncio.Semaphore(16)

        async def one() -> str:
            async with turns:
                return (await ask(()))["traceparent"][0]

        parents = await asyncio.gather(*(one() for _ in range(count)))
    assert len({parent.split("-")[1] for parent in parents}) == count
    sampled = sum(parent.endswith("-01") for parent in parents)
    assert abs(sampled - share * count) <= 6 * math.sqrt(count * share * (1 - share))


async def test_a_span_s_name_can_hold_the_method_and_nothing_that_callers_choose_freely(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    got: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response()

    async with echo("orders") as port, echo(answer=collect) as otlp:
        tracing = {
            "endpoint": f"http://127.0.0.1:{otlp}",
            "sample": 1.0,
            "operation": "%REQ(X)% {method} 100%",
        }
        over = {"service": {"name": "orders", "port": port}, "tracing": tracing}
        sidecar = start(Sidecar(folder, catalog(), over, change=partial(leading_to, otlp)))
        for _ in range(5):
            async with http.put(sidecar.inbound, headers={"X": "anything"}) as answer:
                assert answer.status == 200
            await until(lambda: b"%REQ(X)% PUT 100%" in b"".join(got), within=60)


async def test_tries_show_in_a_trace(
    folder: Path, start: Start, http: aiohttp.ClientSession, shared_jaeger: backing.Jaeger
) -> None:
    """The caller's span counts them, and each that reached the service is a span of its own with what came of it."""
    answers = iter([503, 200])
    trace = uuid.uuid4().hex
    async with echo("orders", answer=lambda _request: next(answers)) as port:
        over = {
            "service": {"name": "orders", "port": port},
            "tracing": {"endpoint": f"http://127.0.0.1:{shared_jaeger.otlp}", "sample": 0.0},
        }
        here = settings(over)
        inbound = Address.parse(here.proxy.inbound).port
        over["proxy"] = msgspec.to_builtins(here.proxy)
        known = catalog(orders=[instance(inbound)])
        sidecar = start(Sidecar(folder, known, over, change=partial(leading_to, shared_jaeger.otlp)))
        sent = {"traceparent": f"00-{trace}-{SPAN}-01"}
        async with http.get("http://orders/x", headers=sent, proxy=sidecar.outbound) as answer:
            assert answer.status == 200
        jaeger = Jaeger(http, shared_jaeger.url)

        async def told() -> bool:
            return len(await jaeger.trace(trace)) == 3

        await until(told, within=60)
        (root,) = grown(await jaeger.trace(trace)).roots
        one = hop(root)
        assert (one.span.kind, one.attempts, one.failed) == ("client", 2, False)
        assert [(child.span.kind, child.failed) for child in one.children] == [
            ("server", True),
            ("server", False),
        ]
