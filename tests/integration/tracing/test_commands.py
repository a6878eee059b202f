"""`pillion trace` and `pillion bottlenecks` on traces as no mesh would make them, in a real Jaeger."""

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from agent.demo.backing import Jaeger, free_port
from agent.tracing.otlp import attributes
from agent.tracing.traces import Span
from tests.unit.tracing.made import BEGAN, call, span
from tests.waiting import until

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def tell(jaeger: Jaeger, spans: Sequence[Span], began: float) -> str:
    """Send spans as services would, the first second of the tests' time being ``began``; the trace's id."""
    trace = uuid.uuid4().hex
    ids = {name: uuid.uuid4().hex[:16] for name in {one.id for one in spans} | {one.parent for one in spans}}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in spans:
        start = round((one.start - BEGAN + began) * 1e9)
        made = {
            "traceId": trace, "spanId": ids[one.id], "name": one.operation, "kind": KINDS[one.kind],
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + round(one.duration * 1e9)),
            "attributes": attributes({name: value for name, value in one.tags if name != "span.kind"}),
            **({"parentSpanId": ids[one.parent]} if one.parent else {}),
        }  # fmt: skip
        groups.setdefault((one.service, one.instance), []).append(made)
    body = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": attributes({"service.name": service, "service.instance.id": instance})
                },
                "scopeSpans": [{"spans": ours}],
            }
            for (service, instance), ours in groups.items()
        ]
    }
    request = urllib.request.Request(
        f"{jaeger.endpoint}/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()
    return trace


def pillion(*arguments: str, code: int = 0) -> str:
    """What a command says on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


async def kept(jaeger: Jaeger, trace: str, count: int) -> None:
    """Wait until Jaeger has so many spans of a trace."""

    def there() -> bool:
        with urllib.request.urlopen(f"{jaeger.url}/api/traces/{trace}", timeout=60) as response:
            return len(json.load(response)["data"][0]["spans"]) == count

    def quietly() -> bool:
        try:
            return there()
        except OSError:
            return False

    await until(quietly, within=60)


async def test_wrong_clocks_lost_spans_tries_and_failures_are_all_told(shared_jaeger: Jaeger) -> None:
    request = f"req-{uuid.uuid4().hex}"
    spans = [
        span("f", None, 0, 100, "front", "server", operation="front", guid__x_request_id=request, **{
            "guid:x-request-id": request, "http.method": "GET", "http.url": "http://front/shop?token=secret",
            "http.status_code": "200"}),
        span("c", "f", 10, 40, "front", "client", operation="front", upstream_attempts="2", instance="one"),
        span("s", "c", -7000, 10, "stock", "server", operation="look", instance="two", error=True),
        span("t", "c", -6980, 12, "stock", "server", operation="look", instance="two"),
        *call("front", "orders", "xy", "f", 55, 30)[:1],
        span("e", "f", 300, 5, "front-agent", "producer", operation="publish"),
        span("l", "lost", 20, 9, "nobody", operation="left over"),
    ]  # fmt: skip
    trace = tell(shared_jaeger, spans, time.time() - 60)
    await kept(shared_jaeger, trace, len(spans))
    said = pillion("trace", request, "--tracing-query", shared_jaeger.url)
    lines = {
        name: line
        for name in ("front", "look", "publish", "left over", "orders")
        for line in said.splitlines()
        if name in line
    }
    assert trace in said.splitlines()[0]
    assert "secret" not in said
    assert "2 tries" in said
    assert said.count("its clock put right") == 2
    assert "FAILED" in said
    assert "the callee's span is missing" in lines["orders"]
    assert "began after its parent had ended" in lines["publish"]
    assert "is missing:" in said.splitlines()[said.splitlines().index(lines["left over"]) - 1]
    assert "incomplete" in said

    data = json.loads(pillion("trace", trace, "--json", "--tracing-query", shared_jaeger.url))
    assert data["duration_ms"] == pytest.approx(100)
    assert sum(one["path_ms"] for one in data["spans"]) == pytest.approx(100)
    assert len(data["missing_parents"]) == 1


async def test_a_huge_trace_is_shown_in_part_and_what_is_left_out_is_said(shared_jaeger: Jaeger) -> None:
    spans = [span("0", None, 0, 4000, "front", "server", operation="all")]
    spans += [span(str(n), "0", n, 1, "front", operation=f"step {n}") for n in range(1, 3000)]
    trace = tell(shared_jaeger, spans, time.time() - 60)
    await kept(shared_jaeger, trace, len(spans))
    said = pillion("trace", trace, "--lines", "20", "--tracing-query", shared_jaeger.url).splitlines()
    assert len(said) < 30
    assert "2980 more calls: --lines shows more, --json all" in said


async def test_the_ranking_is_of_the_asked_service_and_time(shared_jaeger: Jaeger) -> None:
    front, orders = f"front-{uuid.uuid4().hex[:8]}", f"orders-{uuid.uuid4().hex[:8]}"
    now = time.time()
    old = tell(shared_jaeger, [span("f", None, 0, 9000, front, "server", operation="long ago")], now - 4000)
    await kept(shared_jaeger, old, 1)
    for number in range(5):
        spans = [
            span("f", None, 0, 30 + number, front, "server", operation="shop"),
            *call(front, orders, "co", "f", 5, 20),
        ]
        trace = tell(shared_jaeger, spans, now - 100 - number)
        await kept(shared_jaeger, trace, 3)
    asked = ("bottlenecks", "--service", orders, "--tracing-query", shared_jaeger.url)
    await until(lambda: json.loads(pillion(*asked, "--json"))["traces"] == 5, within=60, every=0.5)
    rows = json.loads(pillion(*asked, "--json"))["operations"]
    assert [(one["service"], one["name"], one["calls"]) for one in rows] == [
        (orders, f"GET /{orders}/{{id}}", 5),
        (front, "shop", 5),
        (orders, "(network and sidecars)", 5),
    ]
    assert rows[0]["self_ms"] == pytest.approx(90)
    said = pillion(*asked, "--limit", "1")
    assert "2 more operations (--limit)" in said
    assert "tracing.sample is 0.1" in said
    assert "long ago" in pillion(
        "bottlenecks", "--since", "2h", "--service", front, "--tracing-query", shared_jaeger.url
    )


def test_a_trace_that_is_not_there_is_told_with_the_likely_reasons(shared_jaeger: Jaeger) -> None:
    for unknown in (uuid.uuid4().hex, "no-such-request"):
        said = pillion("trace", unknown, "--wait", "0", "--tracing-query", shared_jaeger.url, code=1)
        assert unknown in said
        assert all(word in said for word in ("not sampled", "tracing.sample is 0.1", "too young", "--since"))
        assert len(said.splitlines()) == 1
    unsampled = f"00-{uuid.uuid4().hex}-b7ad6b7169203331-00"
    assert "was not sampled" in pillion("trace", unsampled, "--tracing-query", shared_jaeger.url, code=1)
    none = pillion("bottlenecks", "--service", "unheard-of", "--tracing-query", shared_jaeger.url, code=1)
    assert "no trace of unheard-of in the last 15m" in none


@pytest.mark.parametrize("command", [("trace", "a" * 32), ("trace", "req-1"), ("bottlenecks",)])
def test_a_jaeger_that_is_away_is_named_with_what_to_do(command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    said = pillion(*command, "--tracing-query", url, code=1)
    assert url in said
    assert "tracing.query" in said
    assert len(said.splitlines()) == 1


class _Page(BaseHTTPRequestHandler):
    """Something else than Jaeger."""

    def do_GET(self) -> None:
        """A page, whatever is asked for."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a server that is no Jaeger."""
    server = HTTPServer(("127.0.0.1", 0), _Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("command", [("trace", "a" * 32), ("bottlenecks",)])
def test_what_is_no_jaeger_is_told(command: tuple[str, ...], page: str) -> None:
    said = pillion(*command, "--tracing-query", page, code=1)
    assert "not that of Jaeger's query API" in said
    assert "tracing.query" in said


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("trace", "a\x1bb"), "neither"),
        (("trace", "x", "--wait", "soon"), "no duration"),
        (("bottlenecks", "--since", "-5s"), "no duration"),
        (("trace", "x", "--tracing-query", "jaeger:16686"), "tracing.query"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, ...], wrong: str) -> None:
    assert wrong in pillion(*arguments, code=2)
