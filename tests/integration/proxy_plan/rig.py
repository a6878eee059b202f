"""An Envoy on a planned snapshot, and services behind it."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from agent.config.settings import Settings
from agent.demo import backing
from agent.demo.process import Process
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway, static_bootstrap, tls
from agent.proxy.snapshot import Resource, Snapshot
from tests.serving import closed

APPS = Path(__file__).parent / "apps"


def settings(over: Mapping[str, Any] | None = None) -> Settings:
    """Settings with free local ports; ``over`` has the shape of pillion.yaml."""
    base: dict[str, Any] = {
        "service": {"name": "front", "port": 1},
        "proxy": {
            "inbound": f"127.0.0.1:{backing.free_port()}",
            "outbound": f"127.0.0.1:{backing.free_port()}",
        },
        "gateway": {"listen": f"127.0.0.1:{backing.free_port()}"},
    }
    for section, values in (over or {}).items():
        base[section] = {**base.get(section, {}), **values}
    return msgspec.convert(base, Settings)


def instance(
    port: int, offer: Offer | None = None, *, name: str = "", zone: str = "", namespace: str = ""
) -> Instance:
    """An instance on this machine."""
    return Instance(name or f"i-{port}", Address("127.0.0.1", port), offer or Offer(), zone, namespace)


def catalog(*left_out: str, **services: Service | list[Instance]) -> Catalog:
    """A catalogue of the named services."""
    found = {
        name: one if isinstance(one, Service) else Service(name, tuple(one)) for name, one in services.items()
    }
    return Catalog(found, left_out)


def with_otlp(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the cluster for spans that a bootstrap holds; it leads nowhere."""
    otlp = {"name": "otlp", "type": "STATIC", "load_assignment": {"cluster_name": "otlp", "endpoints": []}}
    clusters = {**snapshot.clusters, "otlp": otlp}
    return Snapshot(clusters, snapshot.endpoints, snapshot.listeners, snapshot.routes)


def _local(snapshot: Snapshot) -> list[int]:
    """The TCP ports of this machine at which the snapshot's listeners are."""
    found = [one["address"]["socket_address"] for one in snapshot.listeners.values()]
    return [
        one["port_value"] for one in found if one["address"] == "127.0.0.1" and one.get("protocol") != "UDP"
    ]


class Envoy(Process):
    """The real Envoy on a snapshot, all of it static."""

    def __init__(
        self,
        folder: Path,
        snapshot: Snapshot,
        probe: int,
        *,
        concurrency: int = 1,
        zone: str = "",
        secrets: Sequence[Resource] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.admin = folder / "a.sock"
        boot = assets.load().copy("bootstrap")
        boot["node"] = {"id": "test", "cluster": "test", "locality": {"zone": zone}}
        boot["admin"]["address"]["pipe"]["path"] = str(self.admin)
        file = folder / "envoy.json"
        file.write_text(json.dumps(static_bootstrap(snapshot, boot, secrets)))
        argv = [
            backing.binary("envoy"), "-c", str(file), "--disable-hot-restart", "--log-level", "warning",
            "--concurrency", str(concurrency),
        ]  # fmt: skip
        # It listens at one port after the other.
        ports = {probe, *_local(snapshot)}
        super().__init__("Envoy", argv, folder / "envoy.log", answers=lambda: all(map(backing.tcp_ok, ports)))

    async def counters(self, contains: str) -> dict[str, int]:
        """Envoy's counters and gauges whose names contain the text."""
        connector = aiohttp.UnixConnector(path=str(self.admin))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://envoy/stats", params={"format": "json", "filter": contains}) as answer,
        ):
            stats = json.loads(await answer.text())["stats"]
        return {one["name"]: one["value"] for one in stats if "value" in one}


class Sidecar(Envoy):
    """An Envoy as it stands beside a service."""

    def __init__(
        self,
        folder: Path,
        known: Catalog,
        over: Mapping[str, Any] | None = None,
        *,
        hosts: tuple[str, ...] = (),
        change: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot,
    ) -> None:
        self.settings = settings(over)
        self.inbound = f"http://{self.settings.proxy.inbound}"
        self.outbound = f"http://{self.settings.proxy.outbound}"
        self.snapshot = change(plan(self.settings, known, assets.load(), hosts))
        probe = Address.parse(self.settings.proxy.outbound).port
        super().__init__(folder, self.snapshot, probe, zone=self.settings.service.zone)


class Door(Envoy):
    """An Envoy as a gateway."""

    def __init__(
        self,
        folder: Path,
        known: Catalog,
        over: Mapping[str, Any] | None = None,
        *,
        change: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot,
    ) -> None:
        self.settings = settings({"service": {"name": "gateway"}, **(over or {})})
        secrets = tls.in_files(self.settings)
        self.address = Address.parse(self.settings.gateway.listen)
        self.url = f"{'https' if secrets else 'http'}://{self.address}"
        self.snapshot = change(with_otlp(plan_gateway(self.settings, known, assets.load())))
        super().__init__(folder, self.snapshot, self.address.port, secrets=secrets)


class Gunicorn(Process):
    """A Flask service of ``apps`` under a gunicorn with its own defaults."""

    def __init__(self, folder: Path, *arguments: str, name: str = "", app: str = "echo:app") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = backing.free_port()
        self.record = folder / "posts"
        self.record.touch()
        argv = [sys.executable, "-m", "gunicorn", "--chdir", str(APPS), "--bind", f"127.0.0.1:{self.port}"]
        env = {**os.environ, "RECORD": str(self.record), "NAME": name, "NO_PROXY": "*"}
        super().__init__(
            "gunicorn", [*argv, "--log-level", "warning", *arguments, app], folder / "gunicorn.log", env=env,
            answers=lambda: backing.http_ok(f"http://127.0.0.1:{self.port}/"),
        )  # fmt: skip

    @property
    def posts(self) -> list[str]:
        """The bodies of all POST requests that reached the service."""
        return self.record.read_text().split()


@asynccontextmanager
async def echo(
    name: str = "", answer: Callable[[web.Request], Any] | None = None, port: int = 0
) -> AsyncIterator[int]:
    """A small HTTP service in this process; yields its port. ``answer`` may return a status or a response instead."""

    async def handle(request: web.Request) -> web.StreamResponse:
        status: Any = 200
        if answer is not None:
            status = answer(request)
            if hasattr(status, "__await__"):
                status = await status
        if isinstance(status, web.StreamResponse):
            return status
        body = {
            "name": name,
            "method": request.method,
            "path": request.path_qs,
            "headers": {key.lower(): value for key, value in request.headers.items()},
            "all": [[key.lower(), value] for key, value in request.headers.items()],
            "body": (await request.read()).decode(),
        }
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)  # hundreds may connect at once
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await closed(runner)
