"""What a request would meet in this agent's own configuration, for its API."""

from collections.abc import Callable
from typing import Any

import msgspec

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.explain import Ask, World, explain
from agent.proxy.snapshot import Snapshot
from agent.runtime.errors import Permanent
from agent.wiring.base import Cells


def explained(cells: Cells, plan: Callable[[Catalog, Settings], Snapshot], asked: bytes) -> dict[str, Any]:
    """The word on one request, with the settings and the catalogue as they are now.

    ``asked`` is an ``Ask`` as JSON. Raises Permanent with a sentence for what can't be told."""
    try:
        ask = msgspec.json.decode(asked, type=Ask)
    except msgspec.MsgspecError as error:
        raise Permanent(f"what was asked is no request: {error}") from error
    settings, catalog = cells.settings.value, cells.catalog.value
    snapshot = cells.snapshots.value or plan(catalog, settings)
    told = explain(ask, World(settings, catalog, snapshot))
    in_force = cells.revision.value.in_force == snapshot.hash
    return {**told, "snapshot": snapshot.hash, "in_force": in_force}
