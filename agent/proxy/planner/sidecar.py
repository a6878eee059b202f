"""The whole plan of a sidecar's Envoy."""

from collections.abc import Sequence

from agent.config.live import traffic_for
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.planner import dns, external, inbound, outbound, reach
from agent.proxy.planner.cluster import upstream_cluster
from agent.proxy.planner.endpoints import load_assignment
from agent.proxy.planner.fragments import Fragments
from agent.proxy.planner.memo import Memo
from agent.proxy.planner.targets import targets, with_scopes
from agent.proxy.snapshot import Resource, Snapshot


def plan(
    settings: Settings,
    catalog: Catalog,
    fragments: Fragments,
    hosts: Sequence[str] = (),
    memo: Memo | None = None,
) -> Snapshot:
    """What the Envoy beside one service is to do.

    ``settings`` are bound: every port is the one in use, and live overrides are applied. ``hosts`` are
    further names and addresses of this machine, by which a request could be sent back to our own listeners
    (answered 508). ``memo`` is that of the plan before.
    """
    memo = memo or Memo()
    memo.begin(settings, fragments, tuple(hosts))
    declared = (name for name in settings.upstreams if name != "*")
    known = targets(catalog, declared, memo, reach.sidecar(settings, hosts))
    every = {one.cluster: one for one in with_scopes(known, memo)}
    zone = settings.service.zone
    own, doors, inside = memo.each("fixed", {"": None}, lambda _: _fixed(settings, fragments, hosts))[""]
    upstreams = memo.each(
        "upstreams",
        every,
        lambda one: upstream_cluster(one, traffic_for(settings, one.name), fragments, memo),
    )
    routes = {**inside, **outbound.outbound_routes(settings, every, catalog.left_out, hosts, memo)}
    return Snapshot(
        clusters=memo.same("clusters", {**own, **upstreams}),
        endpoints=memo.packed("endpoints", every, lambda one: load_assignment(one, zone)),
        listeners=memo.same("listeners", {**doors, **dns.dns_listeners(settings, known, fragments)}),
        routes=memo.same("routes", routes),
        digest=memo.digest,
    )


Resources = dict[str, Resource]


def _fixed(
    settings: Settings, fragments: Fragments, hosts: Sequence[str]
) -> tuple[Resources, Resources, Resources]:
    """The clusters, listeners and routes that no catalogue changes."""
    strangers = external.external_cluster(settings, hosts, outbound.own_ports(settings), fragments)
    listeners = {
        inbound.NAME: inbound.inbound_listener(settings, fragments),
        **outbound.outbound_listeners(settings, fragments),
    }
    clusters = {**inbound.service_clusters(settings, fragments), strangers["name"]: strangers}
    return clusters, listeners, {inbound.NAME: inbound.inbound_routes(settings)}
