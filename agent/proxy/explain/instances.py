"""The instances that a route's cluster has, by priority, and which of them the route may use."""

from collections.abc import Mapping
from typing import Any

from agent.model.address import Address
from agent.proxy.snapshot import Resource

_LB = "envoy.lb"


def instances(assignment: Resource, action: Resource, names: Mapping[Address, str]) -> list[dict[str, Any]]:
    """Each endpoint with its priority and zone. ``names`` are the instances' ids by address."""
    wanted = action.get("metadata_match", {}).get("filter_metadata", {}).get(_LB, {})
    return [
        _one(endpoint, locality, wanted, names)
        for locality in assignment.get("endpoints", ())
        for endpoint in locality.get("lb_endpoints", ())
    ]


def _one(
    endpoint: Resource, locality: Resource, wanted: Mapping[str, str], names: Mapping[Address, str]
) -> dict[str, Any]:
    socket = endpoint["endpoint"]["address"]["socket_address"]
    address = Address(socket["address"], socket["port_value"])
    has = endpoint.get("metadata", {}).get("filter_metadata", {}).get(_LB, {})
    missing = [(key, value) for key, value in wanted.items() if value not in _several(has.get(key, ()))]
    found: dict[str, Any] = {
        "id": names.get(address, ""),
        "address": str(address),
        "zone": locality.get("locality", {}).get("zone", ""),
        "priority": locality.get("priority", 0),
        "used": not missing,
    }
    if missing:
        key, value = missing[0]
        served = ", ".join(_several(has.get(key, ()))) or "none"
        found["why"] = f"{value} is asked for; its {key}: {served}"
    return found


def _several(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


def subset(action: Resource) -> str:
    """The part of the instances that the route asks for; empty: all."""
    wanted = action.get("metadata_match", {}).get("filter_metadata", {}).get(_LB, {})
    return ", ".join(str(value) for value in wanted.values())
