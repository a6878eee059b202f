"""The list of all services with their versions, which a gateway answers by itself."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.proxy.planner import direct
from agent.proxy.planner.targets import Target
from agent.versions import plan

MOST = direct.LARGEST_BODY
"""Bytes beyond which Envoy would refuse all routes of the gateway."""


def services(known: Sequence[Target], most: int = MOST) -> Mapping[str, Any]:
    """What ``GET /api/versions`` says of all services, within ``most`` bytes.

    What is too long is told without the details of deprecation, then without the services that sort last; ``left_out``
    is their number.
    """
    found = {target.name: plan.listing(target.table) for target in known}
    if sum(map(_size, found.values())) <= most:
        return {"services": found}
    brief = {target.name: plan.listing(target.table, brief=True) for target in known}
    kept, size = dict[str, Any](), 0
    for name, listing in brief.items():
        size += _size(listing)
        if size > most:
            return {"services": kept, "left_out": len(brief) - len(kept)}
        kept[name] = listing
    return {"services": kept}


def _size(listing: Mapping[str, Any]) -> int:
    """At least the bytes that a service takes with its name (63 at most), indented as ``direct`` does."""
    return 2 * len(json.dumps(listing)) + 100
