"""The instances of an upstream as load assignments, the own zone first."""

import re
from itertools import groupby

from agent.model.catalog import Instance
from agent.proxy.planner.targets import Target
from agent.proxy.snapshot import Resource
from agent.versions.resolve import Table

VERSIONS = "versions"
"""Key below ``envoy.lb`` of an endpoint's metadata: the list of versions that it serves."""
UNNAMED = "unnamed"
"""Key beside it where some instances declare no version: those that take requests for none, of all that may."""

_ZONE = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


def load_assignment(target: Target, zone: str) -> Resource:
    """A target's ``ClusterLoadAssignment``.

    Priority 0 is the own zone, 1 the rest; with no instance in the own zone all have priority 0, since
    priorities must not have gaps.
    """
    here = [one for one in target.instances if zone and one.zone == zone]
    there = [one for one in target.instances if not (zone and one.zone == zone)]
    groups = [group for group in (here, there) if group]
    return {
        "cluster_name": target.cluster,
        "endpoints": [
            locality
            for priority, group in enumerate(groups)
            for locality in _localities(group, priority, target)
        ],
    }


def _localities(instances: list[Instance], priority: int, target: Target) -> list[Resource]:
    ordered = sorted(instances, key=lambda one: (_zone(one), one.id))
    return [
        {
            "locality": {"zone": zone},
            "priority": priority,
            "lb_endpoints": [_endpoint(one, target) for one in group],
        }
        for zone, group in groupby(ordered, key=_zone)
    ]


def _zone(instance: Instance) -> str:
    """The zone as Envoy is told it: anything but a plain name counts as none."""
    return instance.zone if _ZONE.fullmatch(instance.zone) else ""


def _endpoint(instance: Instance, target: Target) -> Resource:
    socket = {"address": instance.address.host, "port_value": instance.address.port}
    endpoint: Resource = {"endpoint": {"address": {"socket_address": socket}}}
    if target.table is not None:
        endpoint["metadata"] = {"filter_metadata": {"envoy.lb": _subsets(instance, target, target.table)}}
    return endpoint


def _subsets(instance: Instance, target: Target, table: Table) -> Resource:
    serves = target.serves(instance)
    found: Resource = {VERSIONS: [str(version) for version in serves]}
    if target.partly and (not serves or table.unnamed in serves):
        found[UNNAMED] = str(table.unnamed)
    return found
