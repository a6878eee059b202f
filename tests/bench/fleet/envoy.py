"""What stands where an agent's Envoy would: it asks for configuration as an Envoy does, and accepts all of it.

Fifty Envoys would take two gigabytes and have no part in what is measured, but an instance passes only with an Envoy
that has a configuration in force.
"""

import contextlib
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any
from grpclib.client import Channel, Stream, StreamStreamMethod

from agent.proxy.xds.kinds import KINDS, Kind
from agent.proxy.xds.server import METHOD

AdsStream = Stream[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse]
Manager = http_connection_manager_pb2.HttpConnectionManager


class Accepting:
    """Asks on an agent's socket until cancelled. Raises OSError or a gRPC error when the agent is gone."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._said: dict[Kind, discovery_pb2.DiscoveryRequest] = {}
        self.told: dict[str, list[float]] = {}
        """When endpoints came, in seconds of the monotonic clock, by their cluster."""

    def expected(self) -> bool:
        """Whether the agent takes connections."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as tried:
            tried.connect(str(self._where))
            return True
        return False

    async def run(self) -> None:
        """Follow the agent."""
        async with Channel(path=str(self._where)) as channel:
            types = discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse
            method = StreamStreamMethod(channel, METHOD, *types)
            async with method.open() as stream:
                await self._ask(stream, Kind.CLUSTER)
                await self._ask(stream, Kind.LISTENER)
                async for response in stream:
                    await self._accept(stream, response)

    async def _accept(self, stream: AdsStream, response: discovery_pb2.DiscoveryResponse) -> None:
        kind = KINDS[response.type_url]
        said = self._said[kind]
        said.version_info, said.response_nonce = response.version_info, response.nonce
        if kind is Kind.CLUSTER:  # an Envoy has the endpoints before it says that it has the clusters
            await self._ask(stream, Kind.ENDPOINT, *assigned(response.resources))
        if kind is Kind.LISTENER:
            await self._ask(stream, Kind.ROUTE, *routed(response.resources))
        if kind is Kind.ENDPOINT:
            self._note(response.resources)
        await stream.send_message(said)

    async def _ask(self, stream: AdsStream, kind: Kind, *names: str) -> None:
        known = self._said.get(kind)
        if known is not None and list(known.resource_names) == list(names):
            return
        said = self._said.setdefault(kind, discovery_pb2.DiscoveryRequest(type_url=kind.url))
        said.resource_names[:] = names
        await stream.send_message(said)

    def _note(self, resources: Iterable[Any]) -> None:
        now = time.monotonic()
        for resource in resources:
            name = endpoint_pb2.ClusterLoadAssignment.FromString(resource.value).cluster_name
            self.told.setdefault(name, []).append(now)


def assigned(resources: Iterable[Any]) -> list[str]:
    """The clusters among them whose endpoints are to be asked for, by the name to ask for."""
    clusters = [cluster_pb2.Cluster.FromString(one.value) for one in resources]
    told = [one for one in clusters if one.type == cluster_pb2.Cluster.EDS]
    return sorted(one.eds_cluster_config.service_name or one.name for one in told)


def routed(resources: Iterable[Any]) -> list[str]:
    """The routes that these listeners name."""
    found = set()
    for one in resources:
        listener = listener_pb2.Listener.FromString(one.value)
        for chain in (*listener.filter_chains, listener.default_filter_chain):
            for each in chain.filters:
                manager = Manager()
                if each.typed_config.Unpack(manager) and manager.HasField("rds"):
                    found.add(manager.rds.route_config_name)
    return sorted(found)
