"""An agent's ADS server, the real Envoy on it, backends, and a client that counts what fails."""

import asyncio
import collections
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from agent.demo import backing
from agent.demo.process import Process
from agent.model.revision import Revision
from agent.proxy import assets
from agent.proxy.bootstrap import Node, bootstrap
from agent.proxy.command import Command
from agent.proxy.metrics import Metrics
from agent.proxy.snapshot import Resource, Snapshot
from agent.proxy.xds.server import AdsServer
from agent.proxy.xds.store import SnapshotStore
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.serving import closed
from tests.waiting import until

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"

CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"


def cluster(name: str, timeout: str = "1s", **more: object) -> Resource:
    """An EDS cluster."""
    source = {"ads": {}, "resource_api_version": "V3"}
    eds = {"eds_config": source}
    return {"name": name, "type": "EDS", "connect_timeout": timeout, "eds_cluster_config": eds, **more}


def endpoints(name: str, *ports: int, host: str = "127.0.0.1") -> Resource:
    """Endpoints on this machine."""
    found = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for port in ports
    ]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": found}]}


def listener(name: str, port: int, route: str, prefix: str = "test", **more: object) -> Resource:
    """An HTTP listener whose routes come over RDS."""
    config = {
        "@type": HCM,
        "stat_prefix": prefix,
        "rds": {"route_config_name": route, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": config}]}
        ],
        **more,
    }


def routes(name: str, *clusters: str) -> Resource:
    """``/CLUSTER`` leads to each cluster, everything else to the first."""
    rules = [
        {"match": {"path": f"/{one}"}, "route": {"cluster": one, "timeout": "0s"}} for one in clusters
    ] + [{"match": {"prefix": "/"}, "route": {"cluster": one, "timeout": "0s"}} for one in clusters[:1]]
    return {
        "name": name,
        "validate_clusters": True,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": rules}],
    }


def snapshot(port: int, clusters: dict[str, list[int]], *, route: str = "r", timeout: str = "1s") -> Snapshot:
    """One listener on ``port`` in front of these clusters with backends on these ports."""
    return Snapshot(
        {name: cluster(name, timeout) for name in clusters},
        {name: endpoints(name, *ports) for name, ports in clusters.items()},
        {"in": listener("in", port, route)},
        {route: routes(route, *clusters)},
    )


@dataclass
class Agent:
    """What an agent has of the delivery; ``running`` starts it."""

    folder: Path
    retry_interval: float = 30.0
    patience: float = 15.0
    snapshots: Latest[Snapshot | None] = field(default_factory=lambda: Latest(None))
    revision: Latest[Revision] = field(default_factory=lambda: Latest(Revision()))
    collectors: CollectorRegistry = field(default_factory=CollectorRegistry)
    board: Board = field(default_factory=lambda: Board(lambda: 0.0))
    keeper: Callable[[Path], SnapshotStore] = SnapshotStore

    @property
    def socket(self) -> Path:
        """Where Envoy finds it."""
        return self.folder / "x.sock"

    @property
    def store(self) -> SnapshotStore:
        """What it keeps."""
        return self.keeper(self.folder / "snapshot.json")

    def start(self) -> "asyncio.Task[None]":
        """Run the server in a task, to be cancelled."""
        server = AdsServer(
            self.socket,
            self.snapshots,
            self.revision,
            self.store,
            health=self.board.of("xds"),
            metrics=Metrics(self.collectors),
            retry_interval=self.retry_interval,
            patience=self.patience,
        )
        return asyncio.create_task(server.run(lambda: None), name="xds")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Agent"]:
        """Serve for a while."""
        task = self.start()
        try:
            yield self
        finally:
            await end(task)

    async def in_force(self, wanted: Snapshot, within: float = 60.0) -> None:
        """Offer the snapshot and wait until Envoy has it.

        ``within`` is to be given where something that is wrong would come right later.
        """
        self.snapshots.set(wanted)
        await until(
            lambda: self.revision.value.serving and self.revision.value.in_force == wanted.hash, within
        )


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel the task and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Envoy(Process):
    """The real Envoy, with the bootstrap that agents give it."""

    def __init__(
        self,
        folder: Path,
        *,
        drain_time: float = 2.0,
        concurrency: int = 2,
        heap_limit: int = 0,
        otlp: str = "",
        resolver: int = 0,
    ) -> None:
        """``resolver`` is the port of the only DNS server that it asks, for two minutes; 0: those of this machine."""
        self.admin = folder / "a.sock"
        file = folder / "bootstrap.json"
        filled = bootstrap(
            assets.load().copy("bootstrap"),
            node=Node("test", "test"),
            admin=self.admin,
            xds=folder / "x.sock",
            heap_limit=heap_limit,
            otlp=otlp,
        )
        if resolver:
            address = {"socket_address": {"address": "127.0.0.1", "port_value": resolver}}
            config = {"@type": CARES, "resolvers": [address], "query_timeout_seconds": 120}
            filled["typed_dns_resolver_config"] = {
                "name": "envoy.network.dns_resolver.cares",
                "typed_config": config,
            }
        file.write_text(json.dumps(filled))
        command = Command(Path(backing.binary("envoy")), file, concurrency, drain_time)
        super().__init__("Envoy", command.argv, folder / "envoy.log", answers=self._answers)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.admin)) == 0


@asynccontextmanager
async def backend(text: str, word: asyncio.Event | None = None) -> AsyncIterator[int]:
    """A service that answers ``text``; yields its port. ``/slow`` waits for the word."""

    async def answer(request: web.Request) -> web.Response:
        if word is not None and request.path == "/slow":
            await word.wait()
        return web.Response(text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await closed(runner)


@asynccontextmanager
async def occupied() -> AsyncIterator[asyncio.Server]:
    """A server at a port that Envoy can't have, and that nobody else gets once it is closed."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", backing.free_port())
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


def port_of(server: asyncio.Server) -> int:
    """Where it listens."""
    return int(server.sockets[0].getsockname()[1])


@dataclass
class Hammer:
    """Sends requests all the time and notes every answer."""

    url: str
    paths: list[str] = field(default_factory=lambda: ["/"])
    headers: dict[str, str] = field(default_factory=dict)
    seen: collections.Counter[str] = field(default_factory=collections.Counter)

    @asynccontextmanager
    async def going(self, workers: int = 4) -> AsyncIterator["Hammer"]:
        """Hammer until the block ends."""
        async with aiohttp.ClientSession() as session:
            tasks = [asyncio.create_task(self._work(session), name="hammer") for _ in range(workers)]
            try:
                yield self
            finally:
                for task in tasks:
                    await end(task)

    @property
    def failed(self) -> dict[str, int]:
        """How often each answer came that was no 200."""
        return {what: times for what, times in self.seen.items() if what != "200"}

    async def more(self, number: int) -> None:
        """Wait for so many further answers, of any kind."""
        before = self.seen.total()
        await until(lambda: self.seen.total() >= before + number, within=60)

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            for path in list(self.paths):
                try:
                    async with session.get(self.url + path, headers=self.headers) as response:
                        text = await response.text()
                        what = "200" if response.status == 200 else f"{response.status} {text} {path}"
                except aiohttp.ClientError as error:
                    what = f"{type(error).__name__}: {error}"
                self.seen[what] += 1
