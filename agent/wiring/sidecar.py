"""The agent beside a service, from settings to an ordered list of components: the start-up story."""

import importlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Tracer

from agent.admin.sources import Sources
from agent.carry import copying
from agent.config import bound, live
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy import planner, traffic
from agent.proxy.bootstrap import Node
from agent.proxy.departure import LastDrain
from agent.proxy.presence import presence
from agent.proxy.snapshot import Snapshot
from agent.registry import client, definition
from agent.registry import metrics as registry_metrics
from agent.registry.by_agent import AgentLedger
from agent.registry.by_catalog import CatalogLedger
from agent.registry.delivery import Delivery
from agent.registry.gate import Gate
from agent.registry.kv import Configuration
from agent.registry.ledger import Ledger
from agent.registry.overrides import Overrides
from agent.registry.probe import Probe
from agent.registry.registrar import Registrar
from agent.runtime.child import Child
from agent.runtime.component import Component
from agent.runtime.errors import Misconfigured, Problem
from agent.runtime.latest import Latest
from agent.versions import declared
from agent.wiring import changes, service
from agent.wiring.base import Base, Cells, serving
from agent.wiring.explaining import explained
from agent.wiring.hook import Hook

if TYPE_CHECKING:
    from agent.outbox.inbox.inbox import Inbox
    from agent.outbox.relay import Relay


class Sidecar:
    """Builds the components around one service; ``command`` starts it, empty where someone else does."""

    def __init__(
        self,
        base: Base,
        command: tuple[str, ...],
        reading: client.Client,
        telling: client.Client,
        tracer: Tracer,
    ) -> None:
        self._base = base
        self._settings = base.settings
        self._command = command
        self._reading = reading
        self._telling = telling
        self._metrics = registry_metrics.Metrics(base.collectors)
        self._departure = base.departure(base.settings.registry.spread)
        self._instance = definition.instance_id(base.settings, base.around.host)
        self._fragments = planner.identified(base.fragments, self._instance)
        self._relay = _relay(base, self._instance, tracer)
        self._inbox = _inbox(base, self._instance, tracer)
        self._service = self._child() if command else None
        self._probe = self._probing() if base.settings.service.register else None
        self._restarts = changes.restarts(
            base, self._service, self._probe, reading=reading, instance=self._instance, metrics=self._metrics
        )
        self._history = base.history(self._relay.status if self._relay else None)

    def story(self) -> tuple[Component, ...]:
        """The components in the order of their start; they stop in reverse."""
        base, settings = self._base, self._settings
        node = Node(self._instance, settings.service.name, settings.service.zone)
        wanted = None if "*" in settings.upstreams else frozenset(settings.upstreams)
        registered = settings.service.register
        reach = planner.reach.sidecar(settings, (base.around.host,))
        parts = (
            self._hook(),
            base.admin(self._sources()),
            self._history,
            base.secrets(),
            base.watcher(self._reading, wanted, self._metrics),
            self._overrides(),
            base.reviewer(partial(planner.problems, reach=reach)),
            *base.proxy(self._plan, node),
            self._configuration(),
            self._delivery(),
            self._registrar() if registered else None,
            self._relay,
            self._probe,
            self._service,
            self._restarts,
            base.upstreams(self._plan),
            self._inbox,
            self._gate() if registered else None,
            base.opened(),
            None if registered else self._last_drain(),
        )
        return tuple(part for part in parts if part is not None)

    def _plan(self, catalog: Catalog, settings: Settings) -> Snapshot:
        hosts = (self._base.around.host,)
        return planner.plan(settings, catalog, self._fragments, hosts, self._base.memo)

    def _sources(self) -> Sources:
        base, cells = self._base, self._base.cells
        return Sources(
            facts=base.facts(self._settings.service.name, self._instance),
            board=base.board,
            collectors=base.collectors,
            ready=partial(_ready if self._settings.service.register else serving, cells, base.leaving),
            serving=partial(serving, cells, base.leaving),
            revision=cells.revision,
            catalog=cells.catalog,
            review=cells.reviews,
            routes=self._settings.service.routes or (f"/{self._settings.service.name}",),
            ports=bound.ports(self._settings),
            offer=declared.offer(self._settings.versions),
            registration=cells.registration,
            service=cells.service,
            verdict=cells.verdict,
            store=cells.store,
            outbox=self._relay.status if self._relay else None,
            envoy_metrics=base.envoy_admin.metrics,
            service_metrics=service.metrics(self._settings.service),
            traffic=partial(traffic.traffic, base.envoy_admin),
            calls=partial(traffic.calls, base.envoy_admin),
            history=self._history,
            presence=partial(presence, base.envoy_admin) if self._settings.tracing.carry else None,
            explain=partial(explained, cells, self._plan),
            drain=self._departure.asked,
        )

    def _hook(self) -> Hook | None:
        """For a service in another container; one that we start ourselves gets the hook where it is."""
        folder = self._settings.tracing.carry_dir
        if not folder:
            return None
        return Hook(partial(copying.copy, Path(folder)), folder, self._base.board.of("hook"))

    def _overrides(self) -> Overrides:
        base = self._base
        return Overrides(
            self._reading, self._settings, base.cells.settings, live.override, base.place.overrides,
            health=base.board.of("overrides"), metrics=self._metrics, journal=base.journal,
        )  # fmt: skip

    def _configuration(self) -> Configuration:
        base = self._base
        return Configuration(
            self._reading, self._settings.service.name, base.cells.store, base.place.store,
            health=base.board.of("configuration"), metrics=self._metrics,
        )  # fmt: skip

    def _delivery(self) -> Delivery:
        base, store = self._base, self._settings.store
        # Whether somebody else's service runs is not known: a command may be for it.
        runs = (
            partial(service.runs, base.around.supervisor)
            if self._service
            else partial(bool, store.action == "exec")
        )
        return Delivery(
            base.cells.store, store, changes.act(base, self._service, self._restarts), runs, base.place.delivered,
            health=base.board.of("delivery"), metrics=self._metrics, journal=base.journal,
            references=changes.references(base), delivered=base.cells.delivered,
        )  # fmt: skip

    def _registrar(self) -> Registrar:
        base, cells = self._base, self._base.cells
        return Registrar(
            self._ledger(), self._settings, base.around.host,
            verdicts=cells.verdict, registration=cells.registration, leaving=base.leaving,
            health=base.board.of("registrar"), metrics=self._metrics,
        )  # fmt: skip

    def _probing(self) -> Probe:
        base = self._base
        return Probe(self._settings.service, base.cells.service, base.board.of("probe"), self._metrics)

    def _last_drain(self) -> LastDrain:
        """For an instance that nobody calls: what it has asked of others ends."""
        return LastDrain(self._base.leaving, self._departure.at_last, self._departure.longest)

    def _ledger(self) -> Ledger:
        registry, identity = self._settings.registry, self._settings.kubernetes
        if registry.mode == "catalog":
            return CatalogLedger(self._telling, identity)
        return AgentLedger(self._telling, registry, pinned=bool(identity.pod_uid))

    def _child(self) -> Child:
        base = self._base
        return Child(
            "service", base.around.supervisor,
            partial(service.command, base.around, self._command, base.cells.delivered, base.board),
            _at_once, base.leaving,
            stop_timeout=self._settings.service.stop_timeout, health=base.board.of("service"), wait_ready=False,
        )  # fmt: skip

    def _gate(self) -> Gate:
        base, cells, registry = self._base, self._base.cells, self._settings.registry
        return Gate(
            verdicts=cells.verdict, service=cells.service, revision=cells.revision,
            registration=cells.registration, leaving=base.leaving, draining=cells.draining,
            drain=self._departure.finish, health=base.board.of("gate"), patience=registry.ttl,
            spread=registry.spread, drain_within=self._settings.proxy.drain_time + 1,
        )  # fmt: skip


def _relay(base: Base, instance: str, tracer: Tracer) -> "Relay | None":
    """The relay where there is something to relay; only then is its driver needed and loaded."""
    if not base.settings.outbox.tables and not base.settings.outbox.changes:
        return None
    made: Relay = _loaded("outbox", "pillion[postgres]").relay(base, instance, tracer)
    return made


def _inbox(base: Base, instance: str, tracer: Tracer) -> "Inbox | None":
    """The same for the inbox."""
    if not base.settings.inbox.topics:
        return None
    made: Inbox = _loaded("inbox", "pillion[nats,postgres]").inbox(base, instance, tracer)
    return made


def _loaded(what: str, extra: str) -> Any:
    try:
        return importlib.import_module(f"agent.wiring.{what}")
    except ImportError as error:
        wrong = f"is set, but needs {error.name}, which is not installed: pip install '{extra}'"
        raise Misconfigured([Problem(what, wrong)]) from error


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
