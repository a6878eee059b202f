"""The whole plan of a sidecar's Envoy."""

from collections.abc import Sequence

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.planner.fragments import Fragments
from agent.proxy.snapshot import Snapshot


def plan(settings: Settings, catalog: Catalog, fragments: Fragments, hosts: Sequence[str] = ()) -> Snapshot:
    """What the Envoy beside one service is to do.

    ``settings`` are bound: every port is the one in use, and live overrides are applied. ``hosts`` are further names and
    addresses of this machine, by which a request could be sent back to our own listeners (answered 508).
    """
    raise NotImplementedError
