"""Worlds to explain in."""

from collections.abc import Mapping
from typing import Any

from agent.model.catalog import Catalog
from agent.proxy import assets
from agent.proxy.explain import Ask, Side, World, explain
from agent.proxy.planner import plan, plan_gateway
from tests.unit.proxy.planner import sample


def sidecar(over: Mapping[str, Any] | None = None, catalog: Catalog = sample.CATALOG) -> World:
    """A sidecar on the sample's rich settings, or on these."""
    settings = sample.settings(sample.RICH if over is None else over)
    return World(settings, catalog, plan(settings, catalog, assets.load(), ("this-host",)))


def gateway(over: Mapping[str, Any] | None = None, catalog: Catalog = sample.CATALOG) -> World:
    """A gateway."""
    settings = sample.settings(over)
    return World(settings, catalog, plan_gateway(settings, catalog, assets.load()))


def told(world: World, method: str, url: str, side: Side = Side.OUTBOUND, **headers: str) -> dict[str, Any]:
    """The explanation; ``x_api_version="2"`` is the header X-API-Version."""
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return explain(Ask(method, url, given, side), world)
