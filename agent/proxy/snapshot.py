"""One whole configuration of an Envoy, as plain data in Envoy's JSON form."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

Resource = dict[str, Any]
"""One xDS resource in protobuf's JSON form, without its ``@type``."""
Part = Mapping[str, Resource]
"""All resources of one type, by name."""


class Packed(Mapping[str, Resource]):  # noqa: PLW1641 - no mapping has a hash
    """Resources kept as text, which takes a ninth of what they take as objects; each look at one makes it anew."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        """``texts`` as ``packed`` makes them, by name."""
        self.texts = texts

    def __getitem__(self, name: str) -> Resource:
        found: Resource = msgspec.json.decode(self.texts[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __eq__(self, other: object) -> bool:
        return self.texts == other.texts if isinstance(other, Packed) else super().__eq__(other)


def packed(resource: Resource) -> bytes:
    """A resource as text; equal ones have equal texts."""
    return msgspec.json.encode(resource, order="deterministic")


def kept(part: Part) -> Mapping[str, Resource | bytes]:
    """The resources of a part in the form in which it keeps them: to be compared without being made."""
    return part.texts if isinstance(part, Packed) else part


def digest(resource: Resource | bytes) -> bytes:
    """Equal resources have equal digests, over processes and time, whether as objects or as text."""
    return hashlib.sha256(resource if isinstance(resource, bytes) else packed(resource)).digest()


def together(digests: Mapping[str, bytes]) -> bytes:
    """One digest of several resources' by name."""
    names = sorted(digests)
    whole = hashlib.sha256(msgspec.json.encode(names))
    whole.update(b"".join([digests[name] for name in names]))
    return whole.digest()


def digest_of(_what: str, part: Part) -> bytes:
    """The digest of all resources of one type."""
    return together({name: digest(resource) for name, resource in kept(part).items()})


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
