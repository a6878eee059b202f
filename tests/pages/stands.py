"""What the examples of a page are about, made in the system: a trace, parked events, dead letters, manifests."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import asyncpg
import nats
import yaml

from agent.demo import backing, components
from agent.demo.ports import book
from agent.demo.sidecar import Sidecar
from agent.demo.stage import GUNICORN
from tests.pages.session import Session
from tests.pages.world import World
from tests.ports import free_port

Texts = Mapping[str, str]
"""Documented text, and what stands for it in this system."""
Stand = Callable[[World, Session], AbstractContextManager[Texts]]
"""Makes what a page is about for as long as it is typed."""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders, pillion.dev/inject: "true"}}
    spec:
      containers:
        - {name: web, image: "registry.example.com/orders:1", ports: [{name: http, containerPort: 8000}]}
"""
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pillion.dev/inject: enabled}}
"""
NOTHING: Texts = {}


@contextmanager
def nothing(_world: World, _session: Session) -> Iterator[Texts]:
    """The system as it is."""
    yield NOTHING


@contextmanager
def manifests(_world: World, session: Session) -> Iterator[Texts]:
    """A deployment and its namespace, as files."""
    (session.here / "deployment.yaml").write_text(DEPLOYMENT)
    (session.here / "namespace.yaml").write_text(NAMESPACE)
    yield NOTHING


@contextmanager
def served(_world: World, session: Session) -> Iterator[Texts]:
    """A Flask application in the folder."""
    (session.here / "app.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")
    yield NOTHING


@contextmanager
def mistaken(_world: World, session: Session) -> Iterator[Texts]:
    """A file of settings with two mistakes, and one of another service."""
    (session.here / "another.yaml").write_text("service: {name: another}\n")
    (session.here / "pillion.yaml").write_text("service: {prot: 8000}\nregistry: {mode: catalogue}\n")
    yield NOTHING


@contextmanager
def sick(world: World, session: Session) -> Iterator[Texts]:
    """An instance of payments, whose service does not answer its health check."""
    service = {"name": "payments", "health_path": "/nowhere"}
    with _instance(world, session, "payments", "inventory", {"service": service}, {}):
        yield NOTHING


@contextmanager
def two_relays(world: World, session: Session) -> Iterator[Texts]:
    """A second instance of the orders, which has a share of their feed."""
    first = yaml.safe_load(world.stage.sidecars["orders-v2"].file.read_text())
    settings = {name: first[name] for name in ("service", "versions", "outbox")}
    driver = world.database.replace("postgresql://", "postgresql+psycopg://", 1)
    environ = {"ORDERS_API": "v2", "DATABASE_URL": driver}
    with _instance(world, session, "orders-v2-too", "orders", settings, environ):
        yield {"public.orders_outbox": "pillion.outbox"}


@contextmanager
def external(_world: World, session: Session) -> Iterator[Texts]:
    """Settings of an agent whose Envoy someone else runs."""
    file = session.here / "external.yaml"
    state = {"dir": str(session.here / "state")}
    settings = {"service": {"name": "orders", "port": 8000}, "proxy": {"mode": "external"}, "state": state}
    file.write_text(yaml.safe_dump(settings))
    yield {"/etc/pillion/pillion.yaml": str(file)}


@contextmanager
def one_to_drain(world: World, _session: Session) -> Iterator[Texts]:
    """An instance that may be drained: another than the page's, and started anew afterwards."""
    label = "inventory-b"
    sidecar = world.stage.sidecars[label]
    try:
        yield {
            "pillion drain": f"PILLION_CONFIG={sidecar.file} pillion drain",
            "/etc/pillion/pillion.yaml": str(world.stage.sidecars["orders-v2"].file),
        }
    finally:
        sidecar.stop(60)
        sidecar.start(60)


@contextmanager
def own_consul(_world: World, session: Session) -> Iterator[Texts]:
    """Ports for a Consul and a gateway that the page itself starts; settings are in its own files only."""
    consul = backing.binary("consul")
    taken = [free_port() for _ in range(2)]
    options = (
        f"-server-port {taken[0]} -serf-lan-port {taken[1]} -serf-wan-port -1 -grpc-port -1 -grpc-tls-port -1"
    )
    http, dns = session.place.own(8500), session.place.own(8600)
    session.environ["CONSUL_HTTP_ADDR"] = f"http://127.0.0.1:{http}"
    session.environ["PILLION_GATEWAY_LISTEN"] = f"127.0.0.1:{session.place.own(10000)}"
    del session.environ["PILLION_CONFIG"]
    typed = f"{consul} agent -dev -http-port {http} -dns-port {dns} {options}"
    yield {"~/.cache/pillion/bin/consul-1.20.0 agent -dev": typed}


@contextmanager
def traced(world: World, _session: Session) -> Iterator[Texts]:
    """A request whose id the page's stands for, and some more."""
    for _ in range(3):
        request_id = _checkout(world)
    yield {"b60bf1cf-dc24-48f5-84a8-89afc1602b15": request_id}


@contextmanager
def parked(world: World, session: Session) -> Iterator[Texts]:
    """A key of which the broker takes no event: its stream takes small messages only."""
    asyncio.run(_bounded(world, 64))
    try:
        key = str(asyncio.run(_changed_thrice(world)))
        found = _until(lambda: _set_aside(session, key))
        yield {"4711": key, "90210": str(found["first_row"])}
    finally:
        asyncio.run(_bounded(world, -1))
        session.run("pillion outbox replay --all")


@contextmanager
def a_role(world: World, _session: Session) -> Iterator[Texts]:
    """A role for the relay or the inbox in the database's server."""
    roles = ("stock_agent", "orders_agent")

    async def all_of(statement: str) -> None:
        connection = await asyncpg.connect(world.database)
        for role in roles:
            await connection.execute(statement.format(role))
        await connection.close()

    asyncio.run(all_of("CREATE ROLE {}"))
    try:
        yield NOTHING
    finally:
        asyncio.run(all_of("DROP OWNED BY {0}"))
        asyncio.run(all_of("DROP ROLE {0}"))


def both(*stands: Stand) -> Stand:
    """Several of them, in this order."""

    @contextmanager
    def all_of(world: World, session: Session) -> Iterator[Texts]:
        if not stands:
            yield NOTHING
            return
        with stands[0](world, session) as texts, both(*stands[1:])(world, session) as others:
            yield {**texts, **others}

    return all_of


@contextmanager
def _instance(
    world: World,
    session: Session,
    label: str,
    service: str,
    settings: Mapping[str, Any],
    environ: Mapping[str, str],
) -> Iterator[None]:
    """One more instance for as long as a page is typed, running that sample service."""
    common = {
        "registry": {"address": world.stage.consul, "spread": 0},
        "proxy": {"envoy": backing.binary("envoy"), "concurrency": 1, "drain_time": 1},
    }
    sidecar = Sidecar(
        session.here / label,
        {**common, **settings},
        book(session.here),
        service=service,
        command=GUNICORN,
        environ=environ,
        cwd=components.data() / "services" / service,
    )
    world.stage.sidecars[label] = sidecar
    sidecar.launch()
    try:
        yield
    finally:
        sidecar.stop(60)
        del world.stage.sidecars[label]


def _checkout(world: World) -> str:
    request = urllib.request.Request(
        f"{world.stage.gateway}/shop/checkout",
        data=b'{"sku": "teapot"}',
        headers={"Content-Type": "application/json"},
    )
    with backing.direct().open(request, timeout=15) as answer:
        found: str = answer.headers["X-Request-Id"]
        return found


async def _bounded(world: World, size: int) -> None:
    client = await nats.connect(world.stage.nats)
    try:
        stream = client.jetstream()
        config = (await stream.stream_info("orders")).config
        config.max_msg_size = size
        await stream.update_stream(config)
    finally:
        await client.close()


async def _changed_thrice(world: World) -> int:
    connection = await asyncpg.connect(world.database)
    number: int = await connection.fetchval(
        "INSERT INTO orders (sku, quantity, total, status) VALUES ('cup', 1, 650, 'placed') RETURNING id"
    )
    for status in ("paid", "shipped"):
        await connection.execute("UPDATE orders SET status = $1 WHERE id = $2", status, number)
    await connection.close()
    return number


def _set_aside(session: Session, key: str) -> Any:
    found = json.loads("\n".join(session.run("pillion outbox parked --json").lines))
    return next((one for one in found if one["key"] == key and one["rows"] >= 3), None)


def _until(condition: Callable[[], Any], within: float = 30.0) -> Any:
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "what the page is about did not come about"
        time.sleep(0.2)
    return found
