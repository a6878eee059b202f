"""What every agent is made of: the cells, the metrics, the way to Consul's catalogue, and Envoy."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector

from agent.admin.history import History
from agent.admin.server import Admin
from agent.admin.sources import Sources
from agent.config import sharing
from agent.config.place import Place
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog
from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.review import Review
from agent.model.revision import Revision
from agent.model.store import Store
from agent.proxy import assets
from agent.proxy import metrics as proxy_metrics
from agent.proxy.admin import EnvoyAdmin
from agent.proxy.bootstrap import Node, bootstrap
from agent.proxy.command import Command
from agent.proxy.departure import Departure
from agent.proxy.external import External, ExternalAdmin, admin_at
from agent.proxy.planner import Memo
from agent.proxy.planning import Planning
from agent.proxy.review import Find, Reviewer
from agent.proxy.snapshot import Snapshot
from agent.proxy.traffic import durations
from agent.proxy.xds.server import AdsServer
from agent.proxy.xds.socket import Servable
from agent.proxy.xds.store import SnapshotStore
from agent.registry import client
from agent.registry import metrics as registry_metrics
from agent.registry.watcher import Watcher
from agent.runtime.child import Child
from agent.runtime.child import Command as ChildCommand
from agent.runtime.component import Component
from agent.runtime.files import write_atomically
from agent.runtime.health import Board
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest
from agent.runtime.once import Once
from agent.runtime.supervisor import Supervisor
from agent.wiring import secrets

ENVOY_STOP = 5.0
"""Seconds that an Envoy without traffic may take to end."""
PATIENCE = 5.0
"""Seconds that a start waits for the first word about the upstreams."""

Plan = Callable[[Catalog, Settings], Snapshot]
"""Pure: what Envoy is to do."""


@dataclass(frozen=True)
class Around:
    """What the process gives to the parts."""

    settings: Settings
    """Bound: every port is real."""
    place: Place
    supervisor: Supervisor
    envoy: Path | None
    """Envoy's binary; None where someone else runs Envoy."""
    host: str
    """This machine's name; part of the instance's id."""
    environ: Mapping[str, str]
    """The operator's environment."""
    version: str
    pid: int


@dataclass(frozen=True)
class Cells:
    """All state that travels between components; the comment names the one writer."""

    settings: Latest[Settings]  # overrides
    catalog: Latest[Catalog] = field(default_factory=lambda: Latest(Catalog()))  # watcher
    snapshots: Latest[Snapshot | None] = field(
        default_factory=lambda: Latest[Snapshot | None](None)
    )  # planning
    reviews: Latest[Review] = field(default_factory=lambda: Latest(Review()))  # reviewer
    revision: Latest[Revision] = field(default_factory=lambda: Latest(Revision()))  # xds
    store: Latest[Store] = field(default_factory=lambda: Latest(Store()))  # configuration
    delivered: Latest[Store] = field(default_factory=lambda: Latest(Store()))  # delivery
    registration: Latest[Registration] = field(default_factory=lambda: Latest(Registration()))  # registrar
    service: Latest[ServiceHealth] = field(default_factory=lambda: Latest(ServiceHealth()))  # probe
    verdict: Latest[Verdict] = field(default_factory=lambda: Latest(Verdict()))  # gate
    draining: Latest[bool] = field(default_factory=lambda: Latest(False))  # departure
    informed: Latest[bool] = field(default_factory=lambda: Latest(False))  # the step "upstreams"


def serving(cells: Cells, leaving: Latest[bool]) -> tuple[bool, tuple[str, ...]]:
    """Whether Envoy has a configuration and nobody told it to leave; if not, why."""
    if leaving.value or cells.draining.value:
        return False, ("the instance is leaving",)
    if not cells.revision.value.serving:
        return False, ("Envoy has not accepted any configuration yet",)
    return True, ()


class Base:
    """What every agent is made of: the cells, the metrics, Envoy and the way to it."""

    def __init__(self, around: Around, board: Board) -> None:
        self.around = around
        self.board = board
        self.settings = around.settings
        self.place = around.place
        self.leaving = around.supervisor.leaving
        self.cells = Cells(Latest(around.settings))
        self.collectors = CollectorRegistry()
        ProcessCollector(registry=self.collectors)
        self.deliveries = proxy_metrics.Metrics(self.collectors)
        self.fragments = assets.load(around.settings.proxy.assets_dir)
        self.memo = Memo()
        self.envoy_admin = _admin(around)
        self.journal = Journal(time.time)

    def departure(self, spread: float) -> Departure:
        """How this instance drains; ``spread`` as ``registry.spread``."""
        within = self.settings.proxy.drain_time
        return Departure(self.envoy_admin, self.cells.draining, spread=spread, within=within)

    def admin(self, sources: Sources) -> Admin:
        """The agent's own API."""
        health, metrics = self.settings.admin.health, self.settings.admin.metrics
        return Admin(
            sources,
            Address.parse(self.settings.admin.listen),
            health=Address.parse(health) if health else None,
            metrics=Address.parse(metrics) if metrics else None,
        )

    def history(self, outbox: Callable[[], Awaitable[object]] | None = None) -> History:
        """What the status tells of the last hour; ``outbox`` is the relay's state, where there is one."""
        return History(
            self.cells.revision, self.collectors, self.journal, time.time,
            outbox=outbox, durations=partial(durations, self.envoy_admin),
        )  # fmt: skip

    def secrets(self) -> secrets.Secrets | None:
        """The word on the secrets that come from files, where there are any."""
        found = secrets.from_files(self.settings)
        return secrets.Secrets(found, self.board.of("secrets")) if found else None

    def watcher(
        self, reading: client.Client, wanted: frozenset[str] | None, metrics: registry_metrics.Reads
    ) -> Watcher:
        """The catalogue's one writer; ``wanted`` None: all services."""
        keep = self.settings.registry.keep_last
        health, file = self.board.of("watcher"), self.place.catalog
        return Watcher(
            reading, wanted, self.cells.catalog, file, keep_last=keep, health=health, metrics=metrics
        )

    def proxy(
        self,
        plan: Plan,
        node: Node,
        beside: Sequence[Servable] = (),
        besides: Sequence[Latest[str]] = (),
    ) -> tuple[Component, ...]:
        """From the catalogue to a running Envoy, and the word to the supervisor that the agent works.

        ``beside`` is served on the same socket as the configuration; ``besides`` is what else ``plan`` looks at.
        """
        cells, health = self.cells, self.board.of
        planning = Planning(
            plan, cells.catalog, cells.settings, cells.snapshots,
            health=health("planning"), metrics=self.deliveries, besides=besides,
        )  # fmt: skip
        xds = AdsServer(
            self.place.xds, cells.snapshots, cells.revision, SnapshotStore(self.place.snapshot),
            health=health("xds"), metrics=self.deliveries, group=sharing.group(self.settings), beside=beside,
        )  # fmt: skip
        return planning, xds, self._envoy(node), Once("announcement", self.around.supervisor.ready)

    def _envoy(self, node: Node) -> Component:
        """Envoy as a child of the supervisor, or what stands for one that someone else runs."""
        cells, health = self.cells, self.board.of("envoy")
        if self.around.envoy is None:
            return External(cells.revision, cells.draining, self.envoy_admin, self.place.xds, health)
        return Child(
            "envoy", self.around.supervisor, partial(self._command, self.around.envoy, node), self._connected,
            self.leaving, stop_timeout=ENVOY_STOP, health=health, restarts=True,
        )  # fmt: skip

    def reviewer(self, problems: Find, conflicts: Find | None = None) -> Reviewer:
        """The word on what is left out of the plans."""
        return Reviewer(
            self.cells.catalog, self.cells.reviews, problems, conflicts,
            health=self.board.of("review"), metrics=self.deliveries,
        )  # fmt: skip

    def opened(self) -> Once:
        """The end of the start: who waits for this instance is told that it serves."""
        return Once("opened", self.around.supervisor.serving)

    def upstreams(self, plan: Plan) -> Once:
        """The step of the start that waits for the upstreams, a moment at most."""
        return Once("upstreams", partial(informed, self.cells, plan))

    def facts(self, service: str, instance: str) -> dict[str, str]:
        """Who this agent is, for its status."""
        version, pid = self.around.version, str(self.around.pid)
        return {"service": service, "instance": instance, "version": version, "pid": pid}

    def _command(self, binary: Path, node: Node) -> ChildCommand:
        """Envoy's arguments and environment; its bootstrap is written first."""
        place, proxy = self.place, self.settings.proxy
        content = bootstrap(
            self.fragments.copy("bootstrap"), node=node, admin=place.admin, xds=place.xds,
            otlp=self.settings.tracing.endpoint, heap_limit=proxy.heap_limit,
        )  # fmt: skip
        write_atomically(place.bootstrap, msgspec.json.encode(content))
        argv = Command(binary, place.bootstrap, proxy.concurrency, proxy.drain_time).argv
        environ = self.around.environ
        return argv, {name: environ[name] for name in ("PATH", "TZ", "LANG") if name in environ}

    async def _connected(self) -> bool:
        return self.cells.revision.value.connected


def _admin(around: Around) -> EnvoyAdmin:
    if around.envoy is None:
        return ExternalAdmin(admin_at(around.settings.proxy.admin, around.place.admin))
    return EnvoyAdmin(around.place.admin)


async def informed(cells: Cells, plan: Plan) -> None:
    """Wait until Envoy knows the upstreams, or a moment: a service's first calls are not to fail for haste.

    With Consul away the instance goes on with what was known last.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await cells.catalog.until(lambda catalog: catalog.known)
            await cells.revision.until(
                lambda revision: revision.in_force == plan(cells.catalog.value, cells.settings.value).hash
            )
    cells.informed.set(True)
