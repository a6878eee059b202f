"""One whole configuration of an Envoy, as plain data in Envoy's JSON form."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

Resource = dict[str, Any]
"""One xDS resource in protobuf's JSON form, without its ``@type``."""
Part = Mapping[str, Resource]
"""All resources of one type, by name."""


def digest(resource: Resource) -> bytes:
    """Equal resources have equal digests, over processes and time."""
    return hashlib.sha256(msgspec.json.encode(resource, order="deterministic")).digest()


def together(digests: Mapping[str, bytes]) -> bytes:
    """One digest of several resources' by name."""
    names = sorted(digests)
    whole = hashlib.sha256(msgspec.json.encode(names))
    whole.update(b"".join([digests[name] for name in names]))
    return whole.digest()


def digest_of(_what: str, part: Part) -> bytes:
    """The digest of all resources of one type."""
    return together({name: digest(resource) for name, resource in part.items()})


@dataclass(frozen=True)
class Snapshot:
    """The four resource types by resource name. Never changed after it was made."""

    clusters: Part = field(default_factory=dict)
    """``envoy.config.cluster.v3.Cluster``"""
    endpoints: Part = field(default_factory=dict)
    """``envoy.config.endpoint.v3.ClusterLoadAssignment``, by cluster name."""
    listeners: Part = field(default_factory=dict)
    """``envoy.config.listener.v3.Listener``"""
    routes: Part = field(default_factory=dict)
    """``envoy.config.route.v3.RouteConfiguration``"""
    digest: Callable[[str, Part], bytes] = field(default=digest_of, compare=False, repr=False)
    """Computes the digest of the part of a name, or knows it."""

    @cached_property
    def hash(self) -> str:
        """The snapshot's name: equal contents have equal hashes, over processes and time."""
        parts = ("clusters", "endpoints", "listeners", "routes")
        whole = hashlib.sha256(b"".join([self.digest(name, getattr(self, name)) for name in parts]))
        return whole.hexdigest()[:16]
