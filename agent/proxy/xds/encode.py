"""Envoy's JSON form becomes protobuf, each resource once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import any_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from agent.model.revision import Refusal
from agent.proxy.snapshot import Part, Resource, Snapshot, kept
from agent.proxy.xds.kinds import Kind
from agent.proxy.xds.wire import ERRORS, Wire, mappings

CLASSES: Mapping[Kind, type[Message]] = {
    Kind.CLUSTER: cluster_pb2.Cluster,
    Kind.ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    Kind.LISTENER: listener_pb2.Listener,
    Kind.ROUTE: route_pb2.RouteConfiguration,
}
DESCRIPTORS: Mapping[Kind, Descriptor] = {
    kind: descriptor_pool.Default().FindMessageTypeByName(kind.url.rpartition("/")[2]) for kind in CLASSES
}
HOSTS = "virtual_hosts"
T = TypeVar("T")

Entry = tuple[Resource, bytes]
"""What was encoded, and how."""


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


class Once(Generic[T]):
    """What is found in a part, found once as long as it is the same object."""

    def __init__(self, find: Callable[[Part], T]) -> None:
        self._find = find
        self._last: tuple[Part, T] | None = None

    def of(self, part: Part) -> T:
        """What is in this part."""
        if self._last is None or self._last[0] is not part:
            self._last = part, self._find(part)
        return self._last[1]


@dataclass(frozen=True)
class Done:
    """The resources of one type as they were encoded last."""

    part: Mapping[str, Resource | bytes]
    """As it was kept."""
    content: Mapping[str, bytes]


class Encoder:
    """Encodes snapshots; what equals the former resource of its name costs a comparison only.

    A route configuration may hold thousands of virtual hosts, so for each of those the same holds.
    """

    def __init__(self) -> None:
        self._wire = Wire()
        self._former = {kind: Done({}, {}) for kind in Kind}
        self._hosts: dict[str, dict[str, Entry]] = {}
        self._assignments = Once(assignments)
        self._routed = Once(routed)

    def steps(self, snapshot: Snapshot) -> Iterator[Encoded | list[Refusal] | None]:
        """Encode in small steps, so that a loop can breathe between them.

        Yields None as often as needed, then the result: the encoded snapshot, or what can't be encoded and
        why.
        """
        refusals: list[Refusal] = []
        done: dict[Kind, Done] = {}
        for kind in Kind:
            part, former = kind.of(snapshot), self._former[kind]
            content, now = former.content, kept(part)
            if now is not former.part:
                known = dict(former.content)
                for name in [name for name, one in now.items() if former.part.get(name) is not one]:
                    if name not in known or former.part[name] != now[name]:
                        try:
                            known[name] = self._encode(kind, part[name])
                        except ERRORS as error:
                            known[name] = b""
                            text = f"{name} can't be encoded: {error}"
                            refusals.append(Refusal(kind.value, snapshot.hash, text))
                        yield None
                content = {name: known[name] for name in now}
            done[kind] = Done(now, content)
        assigned, asked = self._assignments.of(snapshot.clusters), self._routed.of(snapshot.listeners)
        dangling = _dangling(snapshot, assigned, asked)
        refusals += [Refusal(kind.value, snapshot.hash, text) for kind, text in dangling]
        if refusals:
            yield refusals
            return
        self._former = done
        resources = {kind: one.content for kind, one in done.items()}
        yield Encoded(snapshot.hash, resources, assigned, asked)

    def encode(self, snapshot: Snapshot) -> Encoded | list[Refusal]:
        """The same in one go."""
        return next(result for result in self.steps(snapshot) if result is not None)

    def _encode(self, kind: Kind, resource: Resource) -> bytes:
        hosts = resource.get(HOSTS) if kind is Kind.ROUTE else None
        if isinstance(hosts, list) and all(isinstance(host, dict) for host in hosts):
            content = self._routes(resource)
        else:
            content = self._wire.message(resource, DESCRIPTORS[kind])
        return any_pb2.Any(type_url=kind.url, value=content).SerializeToString(deterministic=True)

    def _routes(self, resource: Resource) -> bytes:
        kind = DESCRIPTORS[Kind.ROUTE]
        field = kind.fields_by_name[HOSTS]
        former, made = self._hosts.get(str(resource.get("name")), {}), {}
        found = [self._wire.message({**resource, HOSTS: []}, kind)]
        for number, host in enumerate(resource[HOSTS]):
            name = str(host.get("name", number))
            entry = former.get(name)
            if entry is None or (entry[0] is not host and entry[0] != host):
                entry = host, self._wire.part(host, field)
            made[name] = entry
            found.append(entry[1])
        self._hosts[str(resource.get("name"))] = made
        return b"".join(found)


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


def _dangling(
    snapshot: Snapshot, assigned: Mapping[str, str], asked: frozenset[str]
) -> Iterator[tuple[Kind, str]]:
    """Names that something asks for and that are not there.

    Envoy would wait for each.
    """
    for cluster, wanted in assigned.items():
        if wanted not in snapshot.endpoints:
            yield (
                Kind.CLUSTER,
                f"cluster {cluster} asks for the endpoints {wanted}, which are not in the snapshot",
            )
    for wanted in sorted(asked - snapshot.routes.keys()):
        yield Kind.LISTENER, f"a listener asks for the routes {wanted}, which are not in the snapshot"
