"""The whole plan of a gateway's Envoy."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.config.live import traffic_for
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog
from agent.proxy.planner import direct, headers, listing
from agent.proxy.planner.cluster import upstream_cluster
from agent.proxy.planner.endpoints import load_assignment
from agent.proxy.planner.fragments import Fragments
from agent.proxy.planner.listener import listener
from agent.proxy.planner.names import VERSION_SLOT
from agent.proxy.planner.routes import Way, upstream_routes
from agent.proxy.planner.targets import Target, targets
from agent.proxy.planner.traffic import treatment
from agent.proxy.planner.versioning import Entry
from agent.proxy.snapshot import Resource, Snapshot
from agent.versions import parse

NAME = "gateway"


@dataclass(frozen=True)
class Claim:
    """A path prefix that a service asks for."""

    entry: Entry
    target: Target


def plan_gateway(settings: Settings, catalog: Catalog, fragments: Fragments) -> Snapshot:
    """What the gateway's Envoy is to do; ``settings`` are bound, as for a sidecar."""
    known = targets(catalog)
    zone = settings.service.zone
    door = listener(
        "gateway",
        settings,
        fragments,
        name=NAME,
        address=Address.parse(settings.gateway.listen),
        early=("own", "strangers", "trace"),
        service=settings.service.name or NAME,
        replies=True,
    )
    return Snapshot(
        clusters={
            one.cluster: upstream_cluster(one, traffic_for(settings, one.name), fragments) for one in known
        },
        endpoints={one.cluster: load_assignment(one, zone) for one in known},
        listeners={NAME: door},
        routes={NAME: _routes(settings, known)},
    )


def conflicts(catalog: Catalog) -> tuple[str, ...]:
    """A sentence for each path prefix that more than one service asks for, saying who got it."""
    found = []
    claims = _claims(targets(catalog))
    for loser in claims:
        winner = _winner(loser, claims)
        if winner is not loser:
            prefix = loser.entry.prefix
            got, lost = winner.target.name, loser.target.name
            found.append(f"Both {got} and {lost} ask for {prefix}: {got} gets it.")
    return tuple(found)


def _claims(known: Sequence[Target]) -> list[Claim]:
    """All claims: the longest prefix first, then the service name that sorts first."""
    found = [Claim(entry, target) for target in known for entry in _entries(target)]
    return sorted(found, key=lambda claim: (-_length(claim.entry), claim.entry.prefix, claim.target.name))


def _entries(target: Target) -> list[Entry]:
    if not target.routes:
        return [Entry(f"/{target.name}", stripped=True)]
    return [Entry(prefix) for prefix in target.routes]


def _length(entry: Entry) -> int:
    return len(entry.prefix.replace(VERSION_SLOT, "v1"))


def _winner(claim: Claim, claims: Sequence[Claim]) -> Claim:
    return next(one for one in claims if one.entry.prefix == claim.entry.prefix)


def _routes(settings: Settings, known: Sequence[Target]) -> Resource:
    claims = _claims(known)
    routes = [_versions(known)]
    for claim in claims:
        if _winner(claim, claims) is claim:
            routes += upstream_routes(claim.target, treatment(settings, claim.target.name), Way(claim.entry))
    routes.append(_unknown())
    host = {
        "name": NAME,
        "domains": ["*"],
        "routes": routes,
        "request_headers_to_add": [headers.overwrite("x-forwarded-host", "%REQ(:AUTHORITY)%")],
        "request_headers_to_remove": ["x-envoy-external-address"],  # the connection manager's own doing
    }
    return {
        "name": NAME,
        "virtual_hosts": [host],
        "validate_clusters": True,
        "max_direct_response_body_size_bytes": direct.LARGEST_BODY,
    }


def _versions(known: Sequence[Target]) -> Resource:
    match = {
        "path": parse.DISCOVERY,
        "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}],
    }
    return direct.answer(match, 200, listing.services(known), name="versions", problem=False)


def _unknown() -> Resource:
    body = direct.problem(
        404, "No such path", "No service is published at this path; GET /api/versions lists the services."
    )
    return direct.answer({"prefix": "/"}, 404, body, name="unknown path")
