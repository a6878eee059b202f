"""Trace context on its way in: what is invalid never reaches the tracer or the service."""

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.proxy.snapshot import Snapshot
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance
from tests.waiting import until

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{ID}-{SPAN}-01"


@pytest.mark.parametrize("side", ["inbound", "outbound"])
async def test_invalid_trace_context_is_removed_on_both_listeners(
    folder: Path, start: Start, http: aiohttp.ClientSession, side: str
) -> None:
    """W3C Trace Context: a malformed, all-zero or duplicated traceparent counts as none, and its tracestate with it."""
    async with echo("orders") as port:
        over = {"service": {"name": "orders", "port": port}}
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)]), over))
        url = sidecar.inbound if side == "inbound" else "http://orders"
        proxy = None if side == "inbound" else sidecar.outbound

        async def seen(*headers: tuple[str, str]) -> dict[str, list[str]]:
            async with http.get(url, headers=list(headers), proxy=proxy) as answer:
                pairs = (await answer.json())["all"]
            found: dict[str, list[str]] = {"traceparent": [], "tracestate": []}
            for name, value in pairs:
                assert not name.startswith("x-p-")
                if name in found:
                    found[name].append(value)
            return found

        for parent in (
            "garbage", f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01", f"ff-{ID}-{SPAN}-01", VALID.upper(),
            f"{VALID}-extra", f"00-{ID}-{SPAN}", f"00-{ID[1:]}-{SPAN}-01",
        ):  # fmt: skip
            assert await seen(("traceparent", parent), ("tracestate", "a=b")) == {
                "traceparent": [],
                "tracestate": [],
            }, parent
        twice = await seen(("traceparent", VALID), ("traceparent", VALID), ("tracestate", "a=b"))
        assert twice == {"traceparent": [], "tracestate": []}
        assert await seen(("tracestate", "a=b")) == {"traceparent": [], "tracestate": []}
        assert await seen() == {"traceparent": [], "tracestate": []}
        assert await seen(("traceparent", VALID), ("tracestate", "a=b,c@d=e/f")) == {
            "traceparent": [VALID], "tracestate": ["a=b,c@d=e/f"],
        }  # fmt: skip
        assert (await seen(("traceparent", f"00-{ID}-{SPAN}-00")))["traceparent"] == [f"00-{ID}-{SPAN}-00"]
        assert (await seen(("traceparent", f"cc-{ID}-{SPAN}-01-future")))["traceparent"] == [
            f"cc-{ID}-{SPAN}-01"
        ]
        assert (await seen(("traceparent", VALID), ("tracestate", "NOT VALID")))["tracestate"] == []
        many = ",".join(f"k{number}=v" for number in range(33))
        assert (await seen(("traceparent", VALID), ("tracestate", many)))["tracestate"] == []


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

        def with_otlp(snapshot: Snapshot) -> Snapshot:
            endpoint = {"socket_address": {"address": "127.0.0.1", "port_value": otlp}}
            assignment = {
                "cluster_name": "otlp",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
            }
            cluster = {"name": "otlp", "type": "STATIC", "load_assignment": assignment}
            clusters = {**snapshot.clusters, "otlp": cluster}
            return Snapshot(clusters, snapshot.endpoints, snapshot.listeners, snapshot.routes)

        sidecar = start(Sidecar(folder, catalog(), over, change=with_otlp))
        # An id that is no UUID must not keep a request from being sampled.
        sent = {"X-Request-Id": "order-17", **({"traceparent": f"00-{ID}-{SPAN}-{flags}"} if flags else {})}
        for _ in range(5):
            async with http.get(sidecar.inbound, headers=sent) as answer:
                parent = (await answer.json())["headers"]["traceparent"]
        assert parent.endswith("-01" if spans else "-00")
        if spans:
            await until(lambda: b"".join(got).count(b"serve 100%") >= 5, within=15)
            assert b"orders" in got[0]
            assert (bytes.fromhex(ID) in b"".join(got)) == bool(flags)
        else:
            counters = await sidecar.counters("tracing.opentelemetry")
            assert counters.get("tracing.opentelemetry.spans_sent", 0) == 0
            assert got == []
        if flags:
            assert parent.split("-")[1] == ID
