"""Envoy's JSON form becomes protobuf, each resource once."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import any_pb2, descriptor_pool, json_format
from google.protobuf.message import Message

from agent.model.revision import Refusal
from agent.proxy.snapshot import Resource, Snapshot
from agent.proxy.xds.kinds import Kind

CLASSES: Mapping[Kind, type[Message]] = {
    Kind.CLUSTER: cluster_pb2.Cluster,
    Kind.ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    Kind.LISTENER: listener_pb2.Listener,
    Kind.ROUTE: route_pb2.RouteConfiguration,
}
_TYPE = re.compile(r"type\.googleapis\.com/((envoy(?:\.[a-z0-9_]+)+)\.[A-Za-z0-9_.]+)")


@dataclass(frozen=True)
class Encoded:
    """A snapshot in wire form, with the names by which its parts hang together."""

    hash: str
    resources: Mapping[Kind, Mapping[str, bytes]]
    """Serialised ``google.protobuf.Any`` by kind and name."""
    assignments: Mapping[str, str]
    """Cluster name to the endpoint resource that it asks for; only clusters that ask."""
    routed: frozenset[str]
    """Names of the routes that its listeners ask for."""


class Encoder:
    """Encodes snapshots; a resource that equals the former one of its name costs a comparison only."""

    def __init__(self) -> None:
        self._former: dict[tuple[Kind, str], tuple[Resource, bytes]] = {}

    def steps(self, snapshot: Snapshot) -> Iterator[Encoded | list[Refusal] | None]:
        """Encode in small steps, so that a loop can breathe between them.

        Yields None as often as needed, then the result: the encoded snapshot, or what can't be encoded and
        why.
        """
        refusals: list[Refusal] = []
        resources: dict[Kind, dict[str, bytes]] = {kind: {} for kind in Kind}
        kept: dict[tuple[Kind, str], tuple[Resource, bytes]] = {}
        for kind, name, resource in _all(snapshot):
            try:
                kept[kind, name] = resource, self._encode(kind, name, resource)
                resources[kind][name] = kept[kind, name][1]
            except (json_format.Error, ValueError, TypeError, ImportError, RecursionError) as error:
                refusals.append(Refusal(kind.value, snapshot.hash, f"{name} can't be encoded: {error}"))
            yield None
        refusals += [Refusal(kind.value, snapshot.hash, text) for kind, text in _dangling(snapshot)]
        if refusals:
            yield refusals
            return
        self._former = kept
        yield Encoded(snapshot.hash, resources, assignments(snapshot.clusters), routed(snapshot.listeners))

    def encode(self, snapshot: Snapshot) -> Encoded | list[Refusal]:
        """The same in one go."""
        return next(result for result in self.steps(snapshot) if result is not None)

    def _encode(self, kind: Kind, name: str, resource: Resource) -> bytes:
        former = self._former.get((kind, name))
        if former is not None and (former[0] is resource or former[0] == resource):
            return former[1]
        load_types(resource)
        message = json_format.ParseDict(resource, CLASSES[kind]())
        wrapped = any_pb2.Any()
        wrapped.Pack(message, deterministic=True)
        return wrapped.SerializeToString(deterministic=True)


def assignments(clusters: Mapping[str, Resource]) -> dict[str, str]:
    """Cluster name to the name of the endpoints that it asks for over EDS."""
    return {
        name: (cluster.get("eds_cluster_config") or {}).get("service_name") or name
        for name, cluster in clusters.items()
        if cluster.get("type") == "EDS"
    }


def routed(value: Any) -> frozenset[str]:
    """The names of all routes that listeners ask for over RDS."""
    return frozenset(found["route_config_name"] for found in mappings(value) if "route_config_name" in found)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping within plain data."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from mappings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from mappings(inner)


def load_types(resource: Resource) -> None:
    """Make the message types known that the resource names by ``@type``.

    Raises ValueError for one that isn't Envoy's.
    """
    for found in mappings(resource):
        url = found.get("@type")
        if url is not None:
            _load_type(str(url))


def _load_type(url: str) -> None:
    match = _TYPE.fullmatch(url)
    if match is None:
        if url.startswith("type.googleapis.com/google.protobuf."):
            return
        raise ValueError(f"{url!r} is not a type of Envoy's")
    try:
        descriptor_pool.Default().FindMessageTypeByName(match[1])
    except KeyError:
        package = importlib.import_module(match[2])
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2"):
                importlib.import_module(f"{match[2]}.{module.name}")


def _all(snapshot: Snapshot) -> Iterator[tuple[Kind, str, Resource]]:
    for kind in Kind:
        for name, resource in kind.of(snapshot).items():
            yield kind, name, resource


def _dangling(snapshot: Snapshot) -> Iterator[tuple[Kind, str]]:
    """Names that something asks for and that are not there.

    Envoy would wait for each.
    """
    for cluster, wanted in assignments(snapshot.clusters).items():
        if wanted not in snapshot.endpoints:
            yield (
                Kind.CLUSTER,
                f"cluster {cluster} asks for the endpoints {wanted}, which are not in the snapshot",
            )
    for wanted in sorted(routed(snapshot.listeners) - snapshot.routes.keys()):
        yield Kind.LISTENER, f"a listener asks for the routes {wanted}, which are not in the snapshot"
