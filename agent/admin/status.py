"""Everything that an operator may want to know of this agent, as plain data."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from agent.admin.neighbours import Neighbours
from agent.admin.sources import Sources
from agent.admin.versions import versions
from agent.model.catalog import Catalog, Service
from agent.model.presence import Presence
from agent.model.traffic import Traffic
from agent.runtime.errors import PillionError


async def status(sources: Sources) -> dict[str, Any]:
    """The state of all parts.

    Parts that this agent has not are absent. Holds no secret and no configuration value.
    """
    ready, reasons = sources.ready()
    traffic, hook, outbox, calls = await asyncio.gather(
        _traffic(sources.traffic), _hook(sources.presence), _outbox(sources), _calls(sources.neighbours)
    )
    found: dict[str, Any] = {
        "agent": dict(sources.facts),
        "ready": ready,
        "reasons": list(reasons),
        "components": {name: msgspec.to_builtins(report) for name, report in sources.board.reports.items()},
        "routes": list(sources.routes),
        "ports": dict(sources.ports),
        "envoy": msgspec.to_builtins(sources.revision.value),
        "upstreams": {name: _service(one) for name, one in _sorted(sources.catalog.value)},
        "left_out": list(sources.catalog.value.left_out),
        "versions": versions(sources.offer, sources.catalog.value),
        "review": msgspec.to_builtins(sources.review.value),
    }
    for name, cell in (
        ("registration", sources.registration),
        ("service", sources.service),
        ("verdict", sources.verdict),
    ):
        if cell is not None:
            found[name] = msgspec.to_builtins(cell.value)
    if sources.store is not None:
        store = sources.store.value
        found["store"] = {"index": store.index, "keys": sorted(store.entries)}
    if sources.history is not None:
        found["history"] = sources.history.read()
    asked = {"traffic": traffic, "hook": hook, "outbox": outbox, "system": calls}
    return found | {name: answer for name, answer in asked.items() if answer is not None}


async def _traffic(ask: Callable[[], Awaitable[Mapping[str, Traffic]]] | None) -> dict[str, Any] | None:
    """What Envoy has seen of each upstream; nothing while it does not answer."""
    if ask is None:
        return None
    try:
        return {name: msgspec.to_builtins(one) for name, one in (await ask()).items()}
    except PillionError:
        return {}


async def _calls(neighbours: Neighbours | None) -> dict[str, Any] | None:
    """Who calls whom in the whole system."""
    if neighbours is None:
        return None
    calls = await neighbours.calls()
    edges = [
        {"caller": caller, "called": called, **msgspec.to_builtins(count)}
        for (caller, called), count in sorted(calls.edges.items())
    ]
    return {"calls": edges, "silent": list(calls.silent), "untold": calls.untold}


async def _hook(presence: Callable[[], Awaitable[Presence]] | None) -> dict[str, Any] | None:
    """Whether the carry hook works in the service; ``unknown`` before its first answer and without Envoy."""
    if presence is None:
        return None
    try:
        counted = await presence()
    except PillionError as error:
        return {"active": "unknown", "problem": str(error)}
    return {"active": counted.active, "answers": counted.answers, "with_hook": counted.with_hook}


async def _outbox(sources: Sources) -> Any:
    if sources.outbox is None:
        return None
    try:
        return msgspec.to_builtins(await sources.outbox(), str_keys=True)
    except PillionError as error:
        return {"problem": str(error)}


def _sorted(catalog: Catalog) -> list[tuple[str, Service]]:
    return sorted(catalog.services.items())


def _service(service: Service) -> dict[str, Any]:
    return {
        "stale": service.stale,
        "routes": list(service.routes),
        "instances": [
            {
                "id": instance.id,
                "address": str(instance.address),
                "zone": instance.zone,
                "versions": [str(version) for version in instance.offer.serves],
            }
            for instance in service.instances
        ],
    }
