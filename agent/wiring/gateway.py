"""The agent in front of all services, from settings to an ordered list of components."""

import time
from functools import partial

from agent.admin.neighbours import Neighbours
from agent.admin.sources import Sources
from agent.config import bound, live
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy import planner, traffic
from agent.proxy.bootstrap import Node
from agent.proxy.departure import LastDrain
from agent.proxy.snapshot import Snapshot
from agent.registry import client
from agent.registry import metrics as registry_metrics
from agent.registry.overrides import Overrides
from agent.runtime.component import Component
from agent.runtime.latest import Latest
from agent.wiring.base import Base, Cells, serving
from agent.wiring.explaining import explained
from agent.wiring.gateway_files import Files


class Gateway:
    """Builds the components of a gateway."""

    def __init__(self, base: Base, reading: client.Client) -> None:
        self._base = base
        self._reading = reading
        self._metrics = registry_metrics.Reads(base.collectors)
        self._name = base.settings.service.name or "gateway"
        self._instance = f"{self._name}-{base.around.host}"
        self._fragments = planner.identified(base.fragments, self._instance)
        self._departure = base.departure(base.settings.registry.spread)
        self._files = Files(base)
        self._history = base.history()

    def story(self) -> tuple[Component, ...]:
        """The components in the order of their start; they stop in reverse."""
        base = self._base
        node = Node(self._instance, self._name, base.settings.service.zone)
        parts = (
            base.admin(self._sources()),
            self._history,
            base.secrets(),
            *self._files.components,
            base.watcher(self._reading, None, self._metrics),
            self._overrides(),
            self._reviewer(),
            *base.proxy(self._plan, node, self._files.servers, (self._files.keys,)),
            base.upstreams(self._plan),
            base.opened(),
            LastDrain(base.leaving, self._departure.at_last, self._departure.longest),
        )
        return tuple(part for part in parts if part is not None)

    def _reviewer(self) -> Component:
        settings = self._base.settings
        problems = partial(planner.problems, reach=planner.reach.gateway(settings))
        return self._base.reviewer(problems, partial(planner.conflicts, settings=settings))

    def _overrides(self) -> Overrides:
        base, judge = self._base, partial(live.override, everyone=True)
        return Overrides(
            self._reading, base.settings, base.cells.settings, judge, base.place.overrides,
            health=base.board.of("overrides"), metrics=self._metrics, name=self._name,
            journal=base.journal,
        )  # fmt: skip

    def _plan(self, catalog: Catalog, settings: Settings) -> Snapshot:
        completed = self._files.completed(settings)
        return planner.plan_gateway(completed, catalog, self._fragments, self._base.memo)

    def _sources(self) -> Sources:
        base, cells = self._base, self._base.cells
        calls = partial(traffic.calls, base.envoy_admin)
        return Sources(
            facts=base.facts(self._name, self._instance),
            board=base.board,
            collectors=base.collectors,
            ready=partial(_gateway_ready, cells, base.leaving),
            serving=partial(serving, cells, base.leaving),
            revision=cells.revision,
            catalog=cells.catalog,
            review=cells.reviews,
            ports=bound.ports(base.settings, gateway=True),
            envoy_metrics=base.envoy_admin.metrics,
            traffic=partial(traffic.traffic, base.envoy_admin),
            calls=calls,
            history=self._history,
            neighbours=Neighbours(
                self._name, cells.catalog, calls, time.monotonic, planner.reach.gateway(base.settings).wrong
            ),
            explain=partial(explained, cells, self._plan),
            drain=self._departure.asked,
        )


def _gateway_ready(cells: Cells, leaving: Latest[bool]) -> tuple[bool, tuple[str, ...]]:
    found = serving(cells, leaving)
    if found[0] and not cells.informed.value:
        return False, ("Consul has not told of the services yet",)
    return found
