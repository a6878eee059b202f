"""The whole plan of a gateway's Envoy."""

import re
from collections.abc import Sequence

from agent.config.live import traffic_for
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog
from agent.proxy.planner import cors, direct, jwt, limits, listing, reach, strangers, tls
from agent.proxy.planner.claims import decide, rank
from agent.proxy.planner.cluster import upstream_cluster
from agent.proxy.planner.endpoints import load_assignment
from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.planner.listener import listener
from agent.proxy.planner.memo import Memo
from agent.proxy.planner.names import VERSION_SLOT
from agent.proxy.planner.routes import Way, path_match, upstream_routes
from agent.proxy.planner.targets import Target, targets
from agent.proxy.planner.traffic import treatment
from agent.proxy.snapshot import Resource, Snapshot
from agent.versions import parse

NAME = "gateway"
UNKNOWN = "unknown path"
"""The route of what no service publishes; no other has this name."""
_PROXY_PROTOCOL = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"


def plan_gateway(
    settings: Settings, catalog: Catalog, fragments: Fragments, memo: Memo | None = None
) -> Snapshot:
    """What the gateway's Envoy is to do; ``settings`` are bound and ``memo`` is given as for a sidecar."""
    memo = memo or Memo()
    memo.begin(settings, fragments)
    known = targets(catalog, (), memo, reach.gateway(settings))
    every = {one.cluster: one for one in known}
    zone = settings.service.zone
    redirecting, redirects = tls.redirection(settings, fragments)
    upstreams = memo.each(
        "upstreams",
        every,
        lambda one: upstream_cluster(one, traffic_for(settings, one.name), fragments, memo),
    )
    listeners = {NAME: _door(settings, fragments), **redirecting}
    return Snapshot(
        clusters=memo.same("clusters", {**upstreams, **jwt.clusters(settings)}),
        endpoints=memo.packed("endpoints", every, lambda one: load_assignment(one, zone)),
        listeners=memo.same("listeners", listeners),
        routes=memo.same("routes", {NAME: _routes(settings, known), **redirects}),
        digest=memo.digest,
    )


def _door(settings: Settings, fragments: Fragments) -> Resource:
    given = settings.gateway
    door = listener(
        "gateway",
        settings,
        fragments,
        name=NAME,
        address=Address.parse(given.listen),
        early=("own", "strangers", "trace"),
        service=settings.service.name or NAME,
        replies=True,
    )
    manager = connection_manager(door, "gateway")
    strangers.distrust(manager, settings)
    limits.answer(manager, fragments)
    # A web page can read a refusal, too many requests cost no signature's check, and no stranger's body is held.
    manager["http_filters"][-1:-1] = [
        *cors.filters(given.cors),
        *([limits.rate(given.limits)] if given.limits else []),
        *jwt.filters(given.jwt),
        *([limits.body(given.max_body, hold=given.hold_bodies)] if given.max_body else []),
    ]
    tls.secure(door, settings)
    if given.proxy_protocol:
        door["listener_filters"] = [
            {"name": "envoy.filters.listener.proxy_protocol", "typed_config": {"@type": _PROXY_PROTOCOL}}
        ]
    return door


def _routes(settings: Settings, known: Sequence[Target]) -> Resource:
    decision = decide(known, settings.gateway.routes)
    parts = [
        *((prefix, [_nobody(prefix)]) for prefix in decision.kept),
        *(
            (
                claim.entry.prefix,
                cors.governed(
                    upstream_routes(claim.target, treatment(settings, claim.name), Way(claim.entry)),
                    claim.entry.prefix,
                    settings.gateway.cors,
                ),
            )
            for claim in decision.granted
        ),
    ]
    host: Resource = {
        "name": NAME,
        "domains": ["*"],
        "routes": [
            *strangers.refusals(),
            *limits.too_large(settings.gateway.max_body),
            _versions(known),
            *(route for _, routes in sorted(parts, key=lambda part: rank(part[0])) for route in routes),
            _unknown({"prefix": "/"}),
        ],
        "request_headers_to_add": strangers.introduction(),
        "request_headers_to_remove": ["x-envoy-external-address"],  # the connection manager's own doing
    }
    if added := tls.response_headers(settings):
        host["response_headers_to_add"] = added
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


def _nobody(prefix: str) -> Resource:
    """What answers at a prefix that is kept for a service which does not publish it."""
    if VERSION_SLOT not in prefix:
        return _unknown(path_match(prefix))
    before, after = (re.escape(part) for part in prefix.split(VERSION_SLOT))
    return _unknown({"safe_regex": {"regex": f"{before}v{parse.ANY}{after}(?:/.*)?"}})


def _unknown(match: Resource) -> Resource:
    body = direct.problem(
        404, "No such path", "No service is published at this path; GET /api/versions lists the services."
    )
    return direct.answer(match, 404, body, name=UNKNOWN)
