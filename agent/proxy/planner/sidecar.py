"""The whole plan of a sidecar's Envoy."""

from collections.abc import Sequence

from agent.config.live import traffic_for
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.planner import dns, external, inbound, outbound, reach
from agent.proxy.planner.cluster import upstream_cluster
from agent.proxy.planner.endpoints import load_assignment
from agent.proxy.planner.fragments import Fragments
from agent.proxy.planner.targets import scoped, targets
from agent.proxy.snapshot import Snapshot


def plan(settings: Settings, catalog: Catalog, fragments: Fragments, hosts: Sequence[str] = ()) -> Snapshot:
    """What the Envoy beside one service is to do.

    ``settings`` are bound: every port is the one in use, and live overrides are applied. ``hosts`` are
    further names and
    addresses of this machine, by which a request could be sent back to our own listeners (answered 508).
    """
    declared = (name for name in settings.upstreams if name != "*")
    known = targets(catalog, declared, reach=reach.sidecar(settings, hosts))
    every = [one for target in known for one in (target, *scoped(target))]
    zone = settings.service.zone
    strangers = external.external_cluster(settings, hosts, outbound.own_ports(settings), fragments)
    return Snapshot(
        clusters={
            **inbound.service_clusters(settings, fragments),
            strangers["name"]: strangers,
            **{
                one.cluster: upstream_cluster(one, traffic_for(settings, one.name), fragments)
                for one in every
            },
        },
        endpoints={one.cluster: load_assignment(one, zone) for one in every},
        listeners={
            inbound.NAME: inbound.inbound_listener(settings, fragments),
            **outbound.outbound_listeners(settings, fragments),
            **dns.dns_listeners(settings, known, fragments),
        },
        routes={
            inbound.NAME: inbound.inbound_routes(settings),
            **outbound.outbound_routes(settings, known, catalog.left_out, hosts),
        },
    )
