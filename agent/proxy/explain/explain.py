"""The whole word on one request."""

from collections.abc import Sequence
from typing import Any

from agent.model.address import Address
from agent.proxy.explain import doubts, filters, near
from agent.proxy.explain.acted import acted
from agent.proxy.explain.ask import Ask, Side
from agent.proxy.explain.door import Door, door
from agent.proxy.explain.manager import entered
from agent.proxy.explain.matching import mismatch, virtual_host
from agent.proxy.explain.met import Met, World, clusters
from agent.proxy.explain.request import Request
from agent.proxy.snapshot import Resource

GOOD = frozenset({"routed", "external", "answered", "redirected"})
"""Outcomes with which the request gets somewhere."""


def explain(ask: Ask, world: World) -> dict[str, Any]:
    """Plain data. ``outcome`` is ``routed``, ``external``, ``answered`` (by Envoy itself), ``redirected``, ``refused``
    or ``no_instance``; the rest says how it came to that.

    Raises Permanent with a sentence for what no client could send and for a configuration that can't be read here.
    """
    at = door(ask, world.snapshot, _authority(ask.side, world))
    came = entered(at.manager, at.request)
    told = _told(at, came.request)
    if came.status:
        return {**told, "outcome": "refused", "status": came.status, "detail": f"{came.reason}."}
    config = world.snapshot.routes[at.manager["rds"]["route_config_name"]]
    host = virtual_host(config, came.request.authority)
    if host is None:
        return {**told, **_lost("No virtual host has this host.")}
    told["virtual_host"] = {"name": host.content["name"], "domain": host.domain}
    routes = host.content.get("routes", [])
    route, request = _chosen(routes, came.request)
    if route is None:
        return {**told, **_lost("No route matches.")}
    met = Met(world, ask.side, config, host, route, request, clusters(world, ask.side))
    told |= {"route": str(route.get("name", "")), **acted(met)}
    told["near_misses"] = near.before(routes, route, request, _service(met))
    told["notes"] += doubts.doubts(met, told["outcome"])
    return told


def _chosen(routes: Sequence[Resource], request: Request) -> tuple[Resource | None, Request]:
    """The first route that matches; once more where a filter of that route changed what routes see."""
    route = next((one for one in routes if not mismatch(one, request)), None)
    after = filters.changed(route, request) if route else request
    if after == request:
        return route, request
    return next((one for one in routes if not mismatch(one, after)), None), after


def _authority(side: Side, world: World) -> str:
    settings = world.settings
    if side is Side.GATEWAY:
        return f"localhost:{Address.parse(settings.gateway.listen).port}"
    return settings.service.name or "localhost"


def _told(at: Door, request: Request) -> dict[str, Any]:
    sent = {"method": request.method, "host": request.authority, "path": request.path or ""}
    return {
        "request": {**sent, "headers": [list(one) for one in request.headers]},
        "listener": {"name": at.name, "address": at.address},
        "notes": list(at.notes),
    }


def _lost(detail: str) -> dict[str, Any]:
    return {"outcome": "refused", "status": 404, "detail": detail}


def _service(met: Met) -> str:
    """The service whose routes are looked at; empty: all of the virtual host."""
    if met.side is Side.INBOUND or met.target is None:
        return ""
    return met.target.name
