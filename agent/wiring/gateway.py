"""The agent in front of all services, from settings to an ordered list of components."""

from functools import partial

from agent.admin.sources import Sources
from agent.config import bound
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy import planner
from agent.proxy.bootstrap import Node
from agent.proxy.departure import LastDrain
from agent.proxy.snapshot import Snapshot
from agent.registry import client
from agent.registry import metrics as registry_metrics
from agent.runtime.component import Component
from agent.runtime.latest import Latest
from agent.wiring.base import Base, Cells, serving
from agent.wiring.gateway_files import Files


class Gateway:
    """Builds the components of a gateway."""

    def __init__(self, base: Base, reading: client.Client) -> None:
        self._base = base
        self._reading = reading
        self._name = base.settings.service.name or "gateway"
        self._instance = f"{self._name}-{base.around.host}"
        self._departure = base.departure(base.settings.registry.spread)
        self._files = Files(base)

    def story(self) -> tuple[Component, ...]:
        """The components in the order of their start; they stop in reverse."""
        base = self._base
        node = Node(self._instance, self._name, base.settings.service.zone)
        parts = (
            base.admin(self._sources()),
            base.secrets(),
            *self._files.components,
            base.watcher(self._reading, None, registry_metrics.Reads(base.collectors)),
            *base.proxy(self._plan, node, self._files.servers, (self._files.keys,)),
            base.upstreams(self._plan),
            base.opened(),
            LastDrain(base.leaving, self._departure.at_last, self._departure.longest),
        )
        return tuple(part for part in parts if part is not None)

    def _plan(self, catalog: Catalog, settings: Settings) -> Snapshot:
        return planner.plan_gateway(self._files.completed(settings), catalog, self._base.fragments)

    def _sources(self) -> Sources:
        base, cells = self._base, self._base.cells
        return Sources(
            facts=base.facts(self._name, self._instance),
            board=base.board,
            collectors=base.collectors,
            ready=partial(_gateway_ready, cells, base.leaving),
            serving=partial(serving, cells, base.leaving),
            revision=cells.revision,
            catalog=cells.catalog,
            ports=bound.ports(base.settings, gateway=True),
            envoy_metrics=base.envoy_admin.metrics,
            drain=self._departure.asked,
        )


def _gateway_ready(cells: Cells, leaving: Latest[bool]) -> tuple[bool, tuple[str, ...]]:
    found = serving(cells, leaving)
    if found[0] and not cells.informed.value:
        return False, ("Consul has not told of the services yet",)
    return found
