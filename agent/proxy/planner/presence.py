"""The filter that counts and removes the response header by which the carry hook tells that it is there."""

from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.snapshot import Resource

HEADER = "x-pillion-carry"


def count(listener: Resource, fragments: Fragments) -> Resource:
    """The inbound listener with the filter right before its router, where it sees each answer of the service."""
    filters = connection_manager(listener, "inbound")["http_filters"]
    filters.insert(len(filters) - 1, fragments.copy("presence"))
    return listener
