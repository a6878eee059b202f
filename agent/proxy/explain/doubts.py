"""What a person should know beside the answer: names that are spelt alike, and what was left out."""

import re

from agent.model.catalog import Catalog
from agent.proxy.explain import near
from agent.proxy.explain.ask import Side
from agent.proxy.explain.matching import port_start
from agent.proxy.explain.met import Met, reached
from agent.proxy.planner import conflicts, gateway, problems

_WORD = re.compile(r"[a-z0-9-]+")
MOST = 10
"""Sentences of one kind."""


def doubts(met: Met, outcome: str) -> list[str]:
    """Sentences; none where all is plain."""
    if outcome == "external" or met.host.content["name"] == "external":
        return _stranger(met)
    if met.side is Side.GATEWAY and met.route.get("name") == gateway.UNKNOWN:
        return _path(met)
    return _service(met) if met.target is not None and met.side is not Side.INBOUND else []


def _stranger(met: Met) -> list[str]:
    host = met.request.authority[: port_start(met.request.authority)].lower()
    label, _, rest = host.partition(".")
    names = sorted({one.name for one in met.clusters.values()})
    found = []
    if host in met.world.catalog.services or label in met.world.catalog.services:
        found += _left_out(met, host) or _left_out(met, label)
    ours = not rest or rest in ("service.consul", "pillion") or rest.endswith((".svc", ".svc.cluster.local"))
    if ours and (alike := near.alike(label, names)):
        found.append(f"No service {label!r} is registered; did you mean {' or '.join(alike)}?")
    elif ours and not label.isdigit():
        found.append(f"No service {label!r} is registered.")
    return found


def _path(met: Met) -> list[str]:
    published = near.published(
        met.host.content.get("routes", ()), (one.name for one in met.clusters.values())
    )
    first = "/" + met.request.bare_path.lstrip("/").partition("/")[0]
    alike = list(
        dict.fromkeys([*near.alike(met.request.bare_path, published), *near.alike(first, published)])
    )
    return [f"{prefix} leads to {published[prefix]}: is that what was meant?" for prefix in alike[:3]]


def _service(met: Met) -> list[str]:
    assert met.target is not None
    name, catalog = met.target.name, met.world.catalog
    service = catalog.services.get(name)
    found = _left_out(met, name)
    if service is not None and service.stale:
        found.append(f"Consul lost {name}; these are its last known instances.")
    if met.side is Side.GATEWAY:
        found += [one for one in conflicts(catalog, met.world.settings) if name in _WORD.findall(one)][:MOST]
    return found


def _left_out(met: Met, name: str) -> list[str]:
    service = met.world.catalog.services.get(name)
    if service is None:
        return []
    return [*problems(Catalog({name: service}), reached(met.world.settings, met.side))[:MOST]]
