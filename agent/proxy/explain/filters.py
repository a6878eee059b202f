"""Filters of ours that change what the routes see, so that Envoy chooses the route once more."""

from collections.abc import Callable, Mapping

from agent.proxy.explain.request import Request
from agent.proxy.snapshot import Resource
from agent.runtime.errors import Permanent

OURS = "pillion."
"""How the names of our own filters begin."""

READERS: Mapping[str, Callable[[Request], Request]] = {}
"""What each filter that a route asks for by name makes of the request."""


def changed(route: Resource, request: Request) -> Request:
    """The request after the filters of this route; the same one where they change nothing.

    Raises Permanent for a filter of ours that is not read here."""
    for name in route.get("typed_per_filter_config", {}):
        if not name.startswith(OURS):
            continue
        if name not in READERS:
            raise Permanent(
                f"the route {route.get('name', '')!r} asks for the filter {name}, which explain can't read"
            )
        request = READERS[name](request)
    return request
