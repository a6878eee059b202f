"""What the registry knows of the services that this agent may call. All of it comes from others: checked on entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.model.address import Address
from agent.model.version import UNVERSIONED, Offer


@dataclass(frozen=True, slots=True)
class Instance:
    """One passing instance of a service, as callers reach it (its sidecar's inbound)."""

    id: str
    address: Address
    offer: Offer = UNVERSIONED
    """The API versions that this instance serves."""
    zone: str = ""
    namespace: str = ""
    """Kubernetes namespace of its pod, empty anywhere else; checked by the watcher."""
    metrics: int = 0
    """Port at its address where its agent tells metrics and whom the service calls; 0: nowhere."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service by its registered name: one DNS label, checked by the watcher."""

    name: str
    instances: tuple[Instance, ...]
    """Passing instances, ordered by id."""
    routes: tuple[str, ...] = ()
    """Path prefixes that the service asks the gateway for, such as ``/api/{version}/orders``."""
    namespaces: tuple[str, ...] = ()
    """Kubernetes namespaces of all its instances, passing or not, ordered: a critical service keeps its names."""
    stale: bool = False
    """The registry lost the service; these are its last known instances."""


@dataclass(frozen=True)
class Catalog:
    """All wanted services by name. A wanted service without passing instances is present with none."""

    services: Mapping[str, Service] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Services beyond the limit of 100, by name."""
    known: bool = False
    """The registry has told of every wanted service since this agent started; before, some are from an earlier run."""
