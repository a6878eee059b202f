"""One whole configuration of an Envoy, as plain data in Envoy's JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import hashlib
import json

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

    @property
    def hash(self) -> str:
        """The snapshot's name: equal contents have equal hashes, over processes and time."""
        parts = [self.clusters, self.endpoints, self.listeners, self.routes]
        text = json.dumps([dict(part) for part in parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
