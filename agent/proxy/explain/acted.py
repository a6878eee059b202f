"""What the route that was met does with the request."""

import json
from dataclasses import asdict
from typing import Any

from agent.proxy.explain import instances, policies, rewrite, versioned
from agent.proxy.explain.ask import Side
from agent.proxy.explain.met import Met
from agent.proxy.planner.targets import Target
from agent.proxy.planner.traffic import treatment
from agent.proxy.snapshot import Resource
from agent.runtime.errors import Permanent
from agent.versions import declared, resolve


def acted(met: Met) -> dict[str, Any]:
    """The outcome, with everything that holds for it."""
    route = met.route
    if "direct_response" in route:
        return _answer(route["direct_response"]) | _version(met)
    if "redirect" in route:
        return {"outcome": "redirected", "status": 301, "detail": json.dumps(route["redirect"])}
    action = route.get("route", {})
    cluster = met.world.snapshot.clusters.get(action.get("cluster", ""))
    if cluster is None:
        raise Permanent(f"the route {route.get('name', '')!r} leads to no cluster that explain can read")
    return _forwarded(met, action, cluster)


def _answer(answer: Resource) -> dict[str, Any]:
    status = answer["status"]
    found = {"outcome": "answered" if status < 400 else "refused", "status": status}
    try:
        body = json.loads(answer.get("body", {}).get("inline_string", ""))
    except ValueError:
        body = {}
    words = (body.get("detail") or body.get("title")) if isinstance(body, dict) else ""
    return {**found, "detail": str(words or "Envoy answers by itself.")}


def _forwarded(met: Met, action: Resource, cluster: Resource) -> dict[str, Any]:
    request = met.request
    found: dict[str, Any] = {"outcome": "routed", "cluster": cluster["name"]}
    after = (rewrite.path(action, met.route, request), rewrite.host(action, request))
    if after != (request.path or "", request.authority):
        found["rewrite"] = {"path": after[0], "host": after[1]}
    found["policies"] = policies.policies(met.route, (met.host.content, met.config), cluster, request.method)
    found |= _version(met)
    if "dynamic_forward_proxy" in cluster.get("cluster_type", {}).get("name", ""):
        return {**found, "outcome": "external"}
    return found | _instances(met, action, cluster)


def _instances(met: Met, action: Resource, cluster: Resource) -> dict[str, Any]:
    assignment = met.world.snapshot.endpoints.get(cluster["name"]) or cluster.get("load_assignment", {})
    names = {one.address: one.id for one in met.target.instances} if met.target else {}
    found: dict[str, Any] = {
        "subset": instances.subset(action),
        "instances": instances.instances(assignment, action, names),
    }
    if not any(one["used"] for one in found["instances"]):
        detail = "No instance that passes its checks is there for this request."
        found |= {"outcome": "no_instance", "status": 503, "detail": detail}
    return found


def _version(met: Met) -> dict[str, Any]:
    settings, target = met.world.settings, met.target
    pin, below = None, ""
    if met.side is Side.INBOUND:
        table = resolve.table([declared.offer(settings.versions)])
        target = Target(settings.service.name)
    elif target is not None:
        table, pin = target.table, treatment(settings, target.name).pin
        below = f"/{target.name}" if met.side is Side.GATEWAY and not target.routes else ""
    if target is None or table is None:
        return {}
    word = versioned.resolved(str(met.route.get("name", "")), met.request, target, table, pin, below=below)
    return {"version": asdict(word)} if word else {}
