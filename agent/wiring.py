"""The composition root: settings become an ordered list of components. It reads like the start-up story.

Nothing else names a concrete class of another capability. What components share travels in the cells that are
made here, each with one writer.
"""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, ProcessCollector

from agent import carry
from agent.admin.server import Admin
from agent.admin.sources import Sources
from agent.config import bound, fields, live
from agent.config.place import Place
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog
from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.revision import Revision
from agent.model.store import Store
from agent.outbox import brokers
from agent.outbox import metrics as outbox_metrics
from agent.outbox.relay import Relay
from agent.proxy import assets, planner
from agent.proxy import metrics as proxy_metrics
from agent.proxy.admin import EnvoyAdmin
from agent.proxy.bootstrap import Node, bootstrap
from agent.proxy.command import Command
from agent.proxy.departure import Departure, LastDrain
from agent.proxy.environment import service_environment
from agent.proxy.planning import Planning
from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.server import AdsServer
from agent.proxy.xds.store import SnapshotStore
from agent.registry import client, definition
from agent.registry import metrics as registry_metrics
from agent.registry.delivery import Delivery
from agent.registry.environment import Environment, environment
from agent.registry.gate import Gate
from agent.registry.kv import Configuration
from agent.registry.overrides import Overrides
from agent.registry.probe import Probe
from agent.registry.registrar import Registrar
from agent.registry.watcher import Watcher
from agent.runtime.child import Child
from agent.runtime.child import Command as ChildCommand
from agent.runtime.component import Component
from agent.runtime.errors import Misconfigured, Permanent
from agent.runtime.files import write_atomically
from agent.runtime.health import Board, Health
from agent.runtime.latest import Latest
from agent.runtime.once import Once
from agent.runtime.supervisor import Supervisor
from agent.tracing import export, spans

ENVOY_STOP = 5.0
"""Seconds that an Envoy without traffic may take to end."""
SLACK = 60.0
"""Seconds that a stop may take beside what the settings allow for: Consul away, the relay's last batch, our own calls."""


@dataclass(frozen=True)
class Around:
    """What the process gives to the parts."""

    settings: Settings
    """Bound: every port is real."""
    place: Place
    supervisor: Supervisor
    envoy: Path
    """Envoy's binary."""
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
    revision: Latest[Revision] = field(default_factory=lambda: Latest(Revision()))  # xds
    store: Latest[Store] = field(default_factory=lambda: Latest(Store()))  # configuration
    registration: Latest[Registration] = field(default_factory=lambda: Latest(Registration()))  # registrar
    service: Latest[ServiceHealth] = field(default_factory=lambda: Latest(ServiceHealth()))  # probe
    verdict: Latest[Verdict] = field(default_factory=lambda: Latest(Verdict()))  # gate
    draining: Latest[bool] = field(default_factory=lambda: Latest(False))  # departure


def stop_time(settings: Settings) -> float:
    """Seconds that the whole of a stop may take with these settings, everything going wrong."""
    return settings.registry.spread + settings.proxy.drain_time + settings.service.stop_timeout + SLACK


@asynccontextmanager
async def sidecar(
    around: Around, command: tuple[str, ...], board: Board
) -> AsyncIterator[tuple[Component, ...]]:
    """The components of an agent beside a service, in the order of their start; ``command`` is the service's, if any.

    The resources that they share are open within the block. Raises Misconfigured.
    """
    settings, leaving = around.settings, around.supervisor.leaving
    if problems := definition.problems(settings):
        raise Misconfigured(problems)
    cells, collectors = Cells(Latest(settings)), CollectorRegistry()
    ProcessCollector(registry=collectors)
    counts, proxy_counts = registry_metrics.Metrics(collectors), proxy_metrics.Metrics(collectors)
    async with AsyncExitStack() as stack:
        reading = await stack.enter_async_context(client.connect(settings.registry))
        telling = await stack.enter_async_context(client.connect(settings.registry))
        provider = await stack.enter_async_context(spans.setup(settings, export.Metrics(collectors)))

        fragments = assets.load(settings.proxy.assets_dir)
        envoy = EnvoyAdmin(around.place.admin)
        departure = Departure(
            envoy, cells.draining, spread=settings.registry.spread, within=settings.proxy.drain_time
        )
        registered = definition.instance_id(
            settings.service.name, around.host, Address.parse(settings.proxy.inbound).port
        )
        relay = _relay(around, registered, board, collectors, provider.get_tracer("pillion"))
        service = Child(
            "service", around.supervisor, partial(_service, around, command, cells.store, board), _at_once, leaving,
            stop_timeout=settings.service.stop_timeout, health=board.of("service"), wait_ready=False,
        ) if command else None  # fmt: skip
        sources = Sources(
            facts=_facts(around, settings.service.name, registered), board=board, collectors=collectors,
            ready=partial(_ready, cells, leaving), revision=cells.revision, catalog=cells.catalog, ports=bound.ports(settings),
            registration=cells.registration, service=cells.service, verdict=cells.verdict, store=cells.store,
            outbox=relay.status if relay else None, envoy_metrics=envoy.metrics, drain=departure.asked,
        )  # fmt: skip
        wanted = None if "*" in settings.upstreams else frozenset(settings.upstreams)
        story: list[Component | None] = [
            _admin(settings, sources),
            Watcher(
                reading, wanted, cells.catalog, around.place.catalog,
                keep_last=settings.registry.keep_last, health=board.of("watcher"), metrics=counts,
            ),
            Overrides(
                reading, settings, cells.settings, live.override, around.place.overrides,
                health=board.of("overrides"), metrics=counts,
            ),
            Planning(
                lambda catalog, now: planner.plan(now, catalog, fragments, (around.host,)),
                cells.catalog, cells.settings, cells.snapshots, health=board.of("planning"), metrics=proxy_counts,
            ),
            _xds(around, cells, board, proxy_counts),
            _envoy(around, fragments, Node(registered, settings.service.name, settings.service.zone), cells, board),
            Once("announcement", around.supervisor.ready),
            Configuration(
                reading, settings.service.name, cells.store, around.place.store,
                health=board.of("configuration"), metrics=counts,
            ),
            Delivery(
                cells.store, settings.store, partial(_act, service, settings), partial(_runs, around.supervisor),
                around.place.delivered, health=board.of("delivery"), metrics=counts,
            ),
            Registrar(
                telling, settings, around.host, verdicts=cells.verdict, registration=cells.registration,
                leaving=leaving, health=board.of("registrar"), metrics=counts,
            ),
            relay,
            Probe(settings.service, cells.service, board.of("probe"), counts),
            service,
            Gate(
                verdicts=cells.verdict, service=cells.service, revision=cells.revision, registration=cells.registration,
                leaving=leaving, draining=cells.draining, drain=departure.finish, health=board.of("gate"),
                patience=settings.registry.ttl, spread=settings.registry.spread, drain_within=settings.proxy.drain_time + 1,
            ),
        ]  # fmt: skip
        yield tuple(component for component in story if component is not None)


@asynccontextmanager
async def gateway(around: Around, board: Board) -> AsyncIterator[tuple[Component, ...]]:
    """The components of a gateway, in the order of their start. Raises Misconfigured."""
    settings, leaving = around.settings, around.supervisor.leaving
    cells, collectors = Cells(Latest(settings)), CollectorRegistry()
    ProcessCollector(registry=collectors)
    counts, proxy_counts = registry_metrics.Metrics(collectors), proxy_metrics.Metrics(collectors)
    async with AsyncExitStack() as stack:
        reading = await stack.enter_async_context(client.connect(settings.registry))
        fragments = assets.load(settings.proxy.assets_dir)
        envoy = EnvoyAdmin(around.place.admin)
        departure = Departure(envoy, cells.draining, spread=0, within=settings.proxy.drain_time)
        name = settings.service.name or "gateway"
        sources = Sources(
            facts=_facts(around, name, f"{name}-{around.host}"), board=board, collectors=collectors,
            ready=partial(_gateway_ready, cells, leaving), revision=cells.revision, catalog=cells.catalog,
            ports=bound.ports(settings), envoy_metrics=envoy.metrics, drain=departure.asked,
        )  # fmt: skip
        yield (
            _admin(settings, sources),
            Watcher(
                reading, None, cells.catalog, around.place.catalog,
                keep_last=settings.registry.keep_last, health=board.of("watcher"), metrics=counts,
            ),
            Planning(
                lambda catalog, now: planner.plan_gateway(now, catalog, fragments),
                cells.catalog, cells.settings, cells.snapshots, health=board.of("planning"), metrics=proxy_counts,
            ),
            _xds(around, cells, board, proxy_counts),
            _envoy(around, fragments, Node(f"{name}-{around.host}", name, settings.service.zone), cells, board),
            Once("announcement", around.supervisor.ready),
            LastDrain(leaving, departure.finish, settings.proxy.drain_time),
        )  # fmt: skip


def _admin(settings: Settings, sources: Sources) -> Admin:
    health, metrics = settings.admin.health, settings.admin.metrics
    return Admin(
        sources,
        Address.parse(settings.admin.listen),
        health=Address.parse(health) if health else None,
        metrics=Address.parse(metrics) if metrics else None,
    )


def _xds(around: Around, cells: Cells, board: Board, metrics: proxy_metrics.Metrics) -> AdsServer:
    return AdsServer(
        around.place.xds, cells.snapshots, cells.revision, SnapshotStore(around.place.snapshot),
        health=board.of("xds"), metrics=metrics,
    )  # fmt: skip


def _envoy(around: Around, fragments: planner.Fragments, node: Node, cells: Cells, board: Board) -> Child:
    settings, place = around.settings, around.place

    def command() -> ChildCommand:
        content = bootstrap(
            fragments.copy("bootstrap"), node=node, admin=place.admin, xds=place.xds,
            otlp=settings.tracing.endpoint, heap_limit=settings.proxy.heap_limit,
        )  # fmt: skip
        write_atomically(place.bootstrap, msgspec.json.encode(content))
        argv = Command(
            around.envoy, place.bootstrap, settings.proxy.concurrency, settings.proxy.drain_time
        ).argv
        return argv, {name: around.environ[name] for name in ("PATH", "TZ", "LANG") if name in around.environ}

    async def answers() -> bool:
        return cells.revision.value.connected

    return Child(
        "envoy", around.supervisor, command, answers, around.supervisor.leaving,
        stop_timeout=ENVOY_STOP, health=board.of("envoy"), restarts=True,
    )  # fmt: skip


def _service(around: Around, command: tuple[str, ...], store: Latest[Store], board: Board) -> ChildCommand:
    """The service's arguments and environment: the operator's own, configuration, the way to the mesh, the hook."""
    settings = around.settings
    own = {name: value for name, value in around.environ.items() if name not in fields.secret_variables()}
    given = environment(store.value, own) if settings.store.environment else Environment({})
    _report(given, board.of("environment"))
    outbound = Address.parse(settings.proxy.outbound)
    explicit = {name: one.port for name, one in settings.upstreams.items() if one.port > 0}
    env = {**given.variables, **own}
    env |= {"PORT": str(settings.service.port), "FLASK_RUN_PORT": str(settings.service.port)}
    env |= service_environment(outbound, explicit, own)
    if settings.tracing.carry:
        env |= carry.environment(env, (*explicit.values(), outbound.port))
    return command, env


def _report(given: Environment, health: Health) -> None:
    if given.refused:
        health.degraded("left out: " + "; ".join(f"{one.key} {one.reason}" for one in given.refused))
    else:
        health.ok()


def _relay(
    around: Around, identity: str, board: Board, collectors: CollectorRegistry, tracer: Tracer
) -> Relay | None:
    settings = around.settings.outbox
    if not settings.tables and not settings.changes:
        return None
    service = around.settings.service.name
    return Relay(
        settings, service=service, identity=identity, url=lambda: settings.database,
        broker=brokers.make(settings.broker, service), health=board.of("relay"),
        metrics=outbox_metrics.Metrics(collectors), tracer=tracer,
    )  # fmt: skip


async def _act(service: Child | None, settings: Settings) -> None:
    """What follows a change of the configuration that the service was given as a file."""
    action = settings.store.action
    if action == "none":
        return
    if service is None:
        raise Permanent(
            f"store.action is {action!r}, but the service was not started by `pillion run -- CMD`"
        )
    if action == "restart":
        await service.restart()
    else:
        await service.signal(signal.Signals[f"SIG{settings.store.signal}"])


def _runs(supervisor: Supervisor) -> bool:
    state = supervisor.states.value.get("service")
    return state is not None and state.running


async def _at_once() -> bool:
    return True


def _ready(cells: Cells, leaving: Latest[bool]) -> tuple[bool, tuple[str, ...]]:
    """Whether the instance may get traffic: the gate's word, as far as Consul was told it."""
    verdict, told = cells.verdict.value, cells.registration.value
    if leaving.value:
        return False, ("the instance is leaving",)
    if not verdict.passing:
        return False, (verdict.note, *((told.problem,) if told.problem else ()))
    return True, ()


def _gateway_ready(cells: Cells, leaving: Latest[bool]) -> tuple[bool, tuple[str, ...]]:
    if leaving.value or cells.draining.value:
        return False, ("the gateway is leaving",)
    if not cells.revision.value.serving:
        return False, ("Envoy has not accepted any configuration yet",)
    return True, ()


def _facts(around: Around, service: str, instance: str) -> dict[str, str]:
    return {"service": service, "instance": instance, "version": around.version, "pid": str(around.pid)}
