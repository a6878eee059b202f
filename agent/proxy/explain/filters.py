"""Filters of ours that change what the routes see, so that Envoy chooses the route once more."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.proxy.explain.request import Request
from agent.proxy.planner.versioning import READING
from agent.proxy.snapshot import Resource
from agent.runtime.errors import Permanent
from agent.versions import parse

OURS = "pillion."
"""How the names of our own filters begin."""


def _accept(request: Request) -> Request:
    """With the versions that Accept names, as ``envoy/accept.yaml`` tells them to the routes."""
    wishes = parse.wishes(request.value(parse.ACCEPT))
    if not wishes:
        return request
    told = ",".join(str(one).removeprefix("v") for one in wishes)
    return replace(request, headers=(*request.without([parse.WISHES]), (parse.WISHES, told)))


READERS: Mapping[str, Callable[[Request], Request]] = {READING: _accept}
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
