"""One whole configuration of an Envoy, as plain data in Envoy's JSON form."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

Resource = dict[str, Any]
"""One xDS resource in protobuf's JSON form, without its ``@type``."""


@dataclass(frozen=True)
class Snapshot:
    """The four resource types by resource name. Never changed after it was made."""

    clusters: Mapping[str, Resource] = field(default_factory=dict)
    """``envoy.config.cluster.v3.Cluster``"""
    endpoints: Mapping[str, Resource] = field(default_factory=dict)
    """``envoy.config.endpoint.v3.ClusterLoadAssignment``, by cluster name."""
    listeners: Mapping[str, Resource] = field(default_factory=dict)
    """``envoy.config.listener.v3.Listener``"""
    routes: Mapping[str, Resource] = field(default_factory=dict)
    """``envoy.config.route.v3.RouteConfiguration``"""

    @cached_property
    def hash(self) -> str:
        """The snapshot's name: equal contents have equal hashes, over processes and time."""
        parts = [dict(part) for part in (self.clusters, self.endpoints, self.listeners, self.routes)]
        return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]
