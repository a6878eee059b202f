"""The four resource types and their names on the wire."""

import enum
from collections.abc import Mapping

from agent.proxy.snapshot import Resource, Snapshot


class Kind(enum.StrEnum):
    """A resource type; the value is the word that operators read."""

    CLUSTER = "cluster"
    ENDPOINT = "endpoint"
    LISTENER = "listener"
    ROUTE = "route"

    @property
    def url(self) -> str:
        """The type URL on the wire."""
        return URLS[self]

    def of(self, snapshot: Snapshot) -> Mapping[str, Resource]:
        """The snapshot's resources of this type."""
        return {
            Kind.CLUSTER: snapshot.clusters,
            Kind.ENDPOINT: snapshot.endpoints,
            Kind.LISTENER: snapshot.listeners,
            Kind.ROUTE: snapshot.routes,
        }[self]


URLS: Mapping[Kind, str] = {
    Kind.CLUSTER: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    Kind.ENDPOINT: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    Kind.LISTENER: "type.googleapis.com/envoy.config.listener.v3.Listener",
    Kind.ROUTE: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
}
KINDS: Mapping[str, Kind] = {url: kind for kind, url in URLS.items()}
"""The kinds by type URL."""
