"""What works otherwise with a sidecar than one may expect, as sentences for the report."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.inject import names, parts, resources
from agent.inject.options import PREFIX
from agent.inject.plan import Plan

_KINDS = ("livenessProbe", "readinessProbe", "startupProbe")
_BY_NETWORK = ("httpGet", "tcpSocket", "grpc")
SHORTEST = 20
"""Seconds of grace below which requests in flight may be cut."""


def notices(pod: Mapping[str, Any], plan: Plan, said: frozenset[str]) -> Iterator[str]:
    """Sentences about ``pod``, whose form was checked."""
    yield from _probes(pod)
    usual = names.Ports()
    if plan.ports.inbound != usual.inbound:
        yield (
            f"a container uses the port {usual.inbound}: callers reach the sidecar at {plan.ports.inbound}, which a "
            f"Service must target"
        )
    grace = pod["spec"].get("terminationGracePeriodSeconds")
    if grace is not None and grace < SHORTEST:
        yield (
            f"terminationGracePeriodSeconds is {grace}: below {SHORTEST} requests in flight may be cut at the end"
        )
    yield from _resources(pod, plan, said)
    box = plan.settings.outbox
    if plan.own.outbox_database_secret and not (box.tables or box.changes or plan.own.config):
        yield f"{PREFIX}outbox-database-secret is there, but {PREFIX}outbox-config names no tables: nothing is relayed"
    if not plan.port and "port" not in said:
        yield f"no container names an HTTP port: outbound only, not registered; {PREFIX}port says which it is"


def _resources(pod: Mapping[str, Any], plan: Plan, said: frozenset[str]) -> Iterator[str]:
    if pod["spec"].get("resources"):
        yield "the pod's own resources (spec.resources) hold for the sidecar too: they must leave room for it"
    for kind in resources.shared(pod):
        for name in (f"{kind}-request", f"{kind}-limit"):
            if name in said:
                yield f"{PREFIX}{name} is left out, since spec.resources says what the whole pod has of {kind}"
    if not resources.guaranteed(pod):
        return
    requests, limits = plan.resources.get("requests", {}), plan.resources.get("limits", {})
    if requests == limits and set(resources.KINDS) == set(requests):
        have = ", ".join(f"{kind} {limits[kind]}" for kind in resources.KINDS)
        yield f"the pod is and stays of the class Guaranteed: the sidecar's limits are its requests ({have})"
    else:
        yield "the pod was of the class Guaranteed and is Burstable: the sidecar's limits are not its requests"


def _probes(pod: Mapping[str, Any]) -> Iterator[str]:
    found = [
        one["name"]
        for one in parts.containers(pod)
        if any((one.get(kind) or {}).get(how) for kind in _KINDS for how in _BY_NETWORK)
    ]
    if found:
        yield (
            f"the probes of {', '.join(found)} go to the pod's address, not through the sidecar: the application "
            f"must listen there, or have exec probes"
        )
