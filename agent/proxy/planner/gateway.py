"""The whole plan of a gateway's Envoy."""

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.planner.fragments import Fragments
from agent.proxy.snapshot import Snapshot


def plan_gateway(settings: Settings, catalog: Catalog, fragments: Fragments) -> Snapshot:
    """What the gateway's Envoy is to do; ``settings`` are bound, as for a sidecar."""
    raise NotImplementedError


def conflicts(catalog: Catalog) -> tuple[str, ...]:
    """A sentence for each path prefix that more than one service asks for, saying who got it."""
    raise NotImplementedError
