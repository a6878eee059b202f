"""The steps of the walk: each capability tried on real traffic."""

import json
import re
import time
import uuid
from functools import partial
from typing import Any

from prometheus_client import parser

from agent.demo import ask, kv, readings
from agent.demo.traffic import Answer, NotSeenError, until
from agent.demo.walk import Scene, Step


async def registration(scene: Scene) -> str:
    """Every instance is in Consul and passes."""
    wanted = {"storefront": 1, "orders": 2, "inventory": 2}
    total = 0
    for service, count in wanted.items():
        several = partial(_several, scene, service, count)
        found = await until(several, f"{count} instances of {service}")
        for entry in found:
            scene.report.saw(f"{entry['ID']} at {entry['Address']}:{entry['Port']}")
        total += len(found)
    # Registered is not yet known to every caller: that takes a moment more, once for each new service.
    await until(partial(_answers, scene, "/shop"), "the storefront reaching the other services")
    return f"{total} instances registered themselves in Consul and pass their checks"


async def routing(scene: Scene) -> str:
    """The gateway reaches services, and services reach each other by name."""
    shop = _expect(await scene.client.get("/shop"), 200)
    stock = _expect(await scene.client.get("/inventory/stock"), 200)
    scene.report.saw(f"GET /shop: {shop.json['greeting']!r}, {len(shop.json['items'])} items")
    scene.report.saw(f"GET /inventory/stock: {len(stock.json['items'])} items")
    order = _expect(
        await scene.client.send("POST", "/shop/checkout", body={"sku": "cup", "quantity": 2}), 201
    )
    scene.report.saw(f"POST /shop/checkout: {order.body.strip()}")
    return "storefront asked http://orders and http://inventory by name; nobody told it where they are"


async def balancing(scene: Scene) -> str:
    """Both instances of a service get requests."""
    async with scene.client.load("/inventory/stock") as record:
        await until(lambda: record.answers >= 60, "60 answers")
    _none_failed(record.failures)
    if set(record.served_by) != {"inventory-a", "inventory-b"}:
        raise NotSeenError(f"only {', '.join(record.served_by)} answered")
    return ", ".join(f"{name} answered {count}" for name, count in sorted(record.served_by.items()))


async def loss(scene: Scene) -> str:
    """An instance dies at once under load; then it comes back."""
    async with (
        scene.client.load("/inventory/stock") as direct,
        scene.client.load("/shop", clients=2) as through,
    ):
        await until(lambda: direct.served_by["inventory-b"] > 10, "inventory-b under load")
        scene.report.saw(await scene.system.lose("inventory-b"))
        mark = direct.answers, through.answers
        await until(
            lambda: direct.answers > mark[0] + 300 and through.answers > mark[1] + 50,
            "answers after the loss",
            60,
        )
        await scene.system.launch("inventory-b")
        before = direct.served_by["inventory-b"]
        await until(lambda: direct.served_by["inventory-b"] > before + 10, "inventory-b back under load", 40)
    _none_failed(direct.failures + through.failures)
    if not await _several(scene, "inventory", 2):
        raise NotSeenError("inventory has not two instances in Consul again")
    return f"{direct.answers + through.answers} requests, none failed; it came back under the same id"


async def versions(scene: Scene) -> str:
    """URL, header and Accept choose the version; one that does not exist is told what does."""
    asked: tuple[tuple[str, dict[str, str], str], ...] = (
        ("/api/v1/orders", {}, "v1"),
        ("/api/v2/orders", {}, "v2"),
        ("/orders", {"X-API-Version": "1"}, "v1"),
        ("/orders", {"X-API-Version": "2"}, "v2"),
        ("/orders", {"Accept": "application/vnd.shop.v1+json"}, "v1"),
        ("/orders", {}, "v2"),
    )
    for path, headers, wanted in asked:
        asking = " ".join([f"GET {path}", *(f"{name}: {value}" for name, value in headers.items())])
        seen = set()
        for _ in range(10):
            answer = _expect(await scene.client.send("GET", path, headers=headers), 200)
            seen.add((answer.headers.get("X-API-Version"), answer.json["served_by"]))
        scene.report.saw(f"{asking} -> {', '.join(f'{version} by {label}' for version, label in seen)}")
        if seen != {(wanted, f"orders-{wanted}")}:
            raise NotSeenError(f"ten times {asking} was answered by {seen}, not by {wanted} alone")
    old = await scene.client.get("/api/v1/orders")
    if "Deprecation" not in old.headers or "Sunset" not in old.headers:
        raise NotSeenError("the deprecated v1 does not say Deprecation and Sunset")
    missing = _expect(await scene.client.get("/api/v9/orders"), 404)
    scene.report.saw(
        f"GET /api/v9/orders -> 404 {missing.headers.get('Content-Type')}: {missing.body.strip()}"
    )
    listed = _expect(await scene.client.get("/api/versions"), 200)
    scene.report.saw(f"GET /api/versions -> {listed.body.strip()}")
    if (
        "problem+json" not in missing.headers.get("Content-Type", "")
        or "v2" not in missing.body + listed.body
    ):
        raise NotSeenError("the 404 is not a problem+json that lists what exists")
    return "each request reached only instances that serve its version; v1 says when it goes away"


async def tracing(scene: Scene) -> str:
    """One trace and one request id through services that do nothing for it."""
    number, request, spans = await _traced(scene)
    ids = {span.tags["guid:x-request-id"] for span in spans if "guid:x-request-id" in span.tags}
    for line in _tree(spans):
        scene.report.saw(line)
    if ids != {request}:
        raise NotSeenError(f"the request ids of the hops are {', '.join(ids)}; the client was told {request}")
    return f"{len(spans)} spans in trace {number}, all with request id {request}"


async def bottlenecks(scene: Scene) -> str:
    """Which part of a request took the time, found by the id that its answer had; and of all requests."""
    _, request, _ = await _traced(scene)
    where = ("--tracing-query", scene.system.jaeger, "--tracing-sample", "1")
    shown = await ask.pillion("trace", request, "--wait", "0", *where)
    ranked = await ask.pillion("bottlenecks", "--limit", "3", *where)
    for line in (f"pillion trace {request}", *shown, "pillion bottlenecks", *ranked):
        scene.report.saw(line)
    calls = [line for line in shown if "%" in line]
    if len(calls) < 4 or len(ranked) < 5:
        raise NotSeenError("no critical path through the services, or no ranking")
    return f"the critical path goes through {len(calls)} calls"


async def _traced(scene: Scene) -> tuple[str, str, list[readings.Span]]:
    """A request to all services: its trace's id, the request id that the client was told, the spans."""
    number = uuid.uuid4().hex
    headers = {"traceparent": f"00-{number}-{uuid.uuid4().hex[:16]}-01"}
    answer = await scene.client.send("POST", "/shop/checkout", body={"sku": "teapot"}, headers=headers)
    request = _expect(answer, 201).headers.get("X-Request-Id", "")
    wanted = {"gateway", "storefront", "orders", "inventory"}

    async def whole() -> list[readings.Span]:
        spans = await readings.trace(scene.system.jaeger, number)
        services = {"gateway" if "gateway" in span.service else span.service for span in spans}
        return spans if services >= wanted else []

    return number, request, await until(whole, f"one trace with spans of {', '.join(sorted(wanted))}", 30)


async def outbox(scene: Scene) -> str:
    """A change of a model becomes an event that belongs to the request's trace."""
    made = _expect(await scene.client.send("POST", "/shop/checkout", body={"sku": "kettle"}), 201)
    order, number = made.json["id"], uuid.uuid4().hex
    headers = {"traceparent": f"00-{number}-{uuid.uuid4().hex[:16]}-01"}
    path = f"/api/v2/orders/{order}"
    _expect(await scene.client.send("PATCH", path, body={"status": "paid"}, headers=headers), 200)
    scene.report.saw(f"PATCH {path} status=paid; the service only changed a SQLAlchemy model")

    async def event() -> readings.Event | None:
        found = await readings.newest(scene.system.nats, "orders", "orders.orders")
        return found if found and number in found.headers.get("ce-traceparent", "") else None

    found = await until(event, "the event on NATS with the request's trace")
    shown = ", ".join(
        f"{name}: {found.headers.get('ce-' + name)}" for name in ("type", "subject", "traceparent")
    )
    scene.report.saw(shown)
    scene.report.saw(found.body)
    if found.headers.get("ce-type") != "orders.updated" or "paid" not in found.body:
        raise NotSeenError(f"the event is {shown}")
    return "the row's change arrived on NATS as a CloudEvent with the traceparent of its request"


async def configuration(scene: Scene) -> str:
    """A value changed in Consul reaches a service in use and the status page of its agent."""
    began = time.time()
    value = f"Good evening, {uuid.uuid4().hex[:6]}"

    async def arrived() -> bool:
        return bool((await scene.client.get("/shop/greeting")).json["greeting"] == value)

    async with scene.client.load("/shop/greeting") as record:
        await until(lambda: record.answers > 20, "20 answers")
        await kv.put(scene, "config/storefront/GREETING", value)
        scene.report.saw(f"PUT {scene.system.consul}/v1/kv/config/storefront/GREETING = {value!r}")
        await until(arrived, "the new value in the service")
        mark = record.answers
        await until(lambda: record.answers > mark + 100, "100 more answers")
    _none_failed(record.failures)
    changed = partial(_changed, scene, "storefront", "GREETING", began)
    shown = await until(changed, "the change on the status page")
    scene.report.saw(f"storefront's status page: {shown}")
    return (
        f"gunicorn reloaded with the new value; {record.answers} requests meanwhile, none failed; the status page says "
        f"{shown}"
    )


async def system(scene: Scene) -> str:
    """The gateway's status page draws who calls whom."""
    wanted = {("gateway", "storefront"), ("storefront", "orders"), ("storefront", "inventory")}

    async def drawn() -> list[dict[str, Any]]:
        calls = json.loads(await scene.system.status("gateway"))["system"]["calls"]
        return calls if {(one["caller"], one["called"]) for one in calls} >= wanted else []

    calls = await until(drawn, "the gateway's page knowing who calls whom")
    for one in calls:
        scene.report.saw(
            f"{one['caller']} -> {one['called']}: {one['requests']} requests, {one['failed']} failed"
        )
    return f"{len(calls)} lines between the services, gathered from each agent's Envoy"


async def _changed(scene: Scene, label: str, key: str, since: float) -> str:
    """How an instance's status and its page tell that a value was delivered after that time; empty before."""
    found = json.loads(await scene.system.status(label))["history"]["changes"]
    changes = (one for one in found if key in one["detail"] and one["at"] >= since)
    told = next((f"{one['subject']}: {one['detail']} {one['outcome']}" for one in changes), "")
    shown = (await scene.system.page(label)).partition("Recent changes of configuration")[2]
    return told if key in shown else ""


async def discovery(scene: Scene) -> str:
    """Consul's DNS knows the services' inbound ports."""
    port, wanted = scene.system.dns, sorted(scene.system.inbound_ports("inventory"))

    async def told() -> bool:
        return sorted(await readings.srv(port, "inventory.service.consul")) == wanted

    await until(told, "SRV records of both inventory instances")
    return f"SRV inventory.service.consul, asked on port {port}: {wanted[0]} and {wanted[1]}"


async def metrics(scene: Scene) -> str:
    """One scrape holds the agent's and Envoy's metrics."""
    counts = []
    for label in ("orders-v2", "gateway"):
        text = await until(partial(scene.system.metrics, label), f"/metrics of {label}")
        names = [family.name for family in parser.text_string_to_metric_families(text)]
        envoy = sum(name.startswith("envoy_") for name in names)
        own = sum(name.startswith("pillion_") for name in names)
        if not envoy or not own:
            raise NotSeenError(f"/metrics of {label} has {own} of the agent's and {envoy} of Envoy's metrics")
        counts.append(f"{label}: {own} of the agent, {envoy} of Envoy")
    return "; ".join(counts)


async def _several(scene: Scene, service: str, count: int) -> list[dict[str, Any]]:
    found = await readings.passing(scene.system.consul, service, scene.system.token)
    return found if len(found) == count else []


async def _answers(scene: Scene, path: str) -> bool:
    return (await scene.client.get(path)).status == 200


def _expect(answer: Answer, status: int) -> Answer:
    if answer.status != status:
        raise NotSeenError(f"answered {answer.status}, not {status}: {answer.body.strip()[:300]}")
    return answer


def _none_failed(failures: list[str]) -> None:
    if failures:
        raise NotSeenError(f"{len(failures)} requests failed, first {failures[0]}")


def _tree(spans: list[readings.Span]) -> list[str]:
    """The spans' services, each below its parent."""
    known = {span.id for span in spans}
    lines: list[str] = []

    def below(parent: str, depth: int) -> None:
        for span in spans:
            if span.parent == parent or (depth == 0 and span.parent not in known):
                url = re.sub(r"^https?://[^/]+", "", span.tags.get("http.url", ""))
                lines.append(
                    f"{'  ' * depth}{span.service} {span.tags.get('http.method', '')} {url}".rstrip()
                )
                below(span.id, depth + 1)

    below("", 0)
    return lines


STEPS: tuple[tuple[str, Step], ...] = (
    ("Registration", registration),
    ("Routing", routing),
    ("Load balancing", balancing),
    ("An instance lost under load", loss),
    ("API versions", versions),
    ("One trace across all services", tracing),
    ("Where a request's time went", bottlenecks),
    ("A model change as an event", outbox),
    ("A configuration value changed", configuration),
    ("The status page", system),
    ("Discovery by DNS", discovery),
    ("Metrics", metrics),
)
"""In the order of the walk."""
