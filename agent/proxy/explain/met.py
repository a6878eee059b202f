"""What is known, and what a request met in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.explain import near
from agent.proxy.explain.ask import Side
from agent.proxy.explain.matching import Host
from agent.proxy.explain.request import Request
from agent.proxy.planner import reach
from agent.proxy.planner.targets import Target, scoped, targets
from agent.proxy.snapshot import Resource, Snapshot


@dataclass(frozen=True)
class World:
    """What an agent knows: its settings as they hold now, the catalogue, and what was planned from both."""

    settings: Settings
    """Bound, live overrides applied."""
    catalog: Catalog
    snapshot: Snapshot


@dataclass(frozen=True)
class Met:
    """What a request met in the route tables."""

    world: World
    side: Side
    config: Resource
    host: Host
    route: Resource
    request: Request
    clusters: Mapping[str, Target]
    """All that can be called, by cluster."""

    @property
    def target(self) -> Target | None:
        """The service that the route is of; None where it is of none."""
        action = self.route.get("route", {})
        if action:
            return self.clusters.get(action.get("cluster", ""))
        whole = {one.name: one for one in self.clusters.values() if not one.scope}
        titles = {one.title: one for one in self.clusters.values()}
        by_host = titles.get(str(self.host.content["name"]))
        return by_host or whole.get(near.service_of(self.route, whole))


def reached(settings: Settings, side: Side) -> reach.Reach:
    """Which addresses of the catalogue are used at a door."""
    return reach.gateway(settings) if side is Side.GATEWAY else reach.sidecar(settings)


def clusters(world: World, side: Side) -> dict[str, Target]:
    """All that can be called, by cluster."""
    names = (name for name in world.settings.upstreams if name != "*")
    known = targets(world.catalog, names, reach=reached(world.settings, side))
    return {one.cluster: one for target in known for one in (target, *scoped(target))}
