"""What the API shows and calls, given by wiring."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from agent.admin.history import History
from agent.admin.neighbours import Neighbours
from agent.model.catalog import Catalog
from agent.model.presence import Presence
from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.review import Review
from agent.model.revision import Revision
from agent.model.store import Store
from agent.model.traffic import Traffic
from agent.model.version import Offer
from agent.runtime.health import Board
from agent.runtime.latest import Latest


@dataclass(frozen=True)
class Sources:
    """Cells and callables; None where the agent has no such part (a gateway has no service)."""

    facts: Mapping[str, str]
    """Who this agent is: ``service``, ``instance``, ``version``, ``pid``; shown as they are."""
    board: Board
    collectors: CollectorRegistry
    """The agent's own metrics."""
    ready: Callable[[], tuple[bool, tuple[str, ...]]]
    """Whether the instance is to get traffic, and if not, each reason as a sentence."""
    serving: Callable[[], tuple[bool, tuple[str, ...]]]
    """Whether Envoy has a configuration and is not leaving, whatever the service and the registry do."""
    revision: Latest[Revision]
    catalog: Latest[Catalog]
    review: Latest[Review] = field(default_factory=lambda: Latest(Review()))
    """What of the catalogue is left out of the plans."""
    routes: tuple[str, ...] = ()
    """Path prefixes that the gateway sends to this service."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """What is bound, as ``host:port`` by name: ``inbound``, ``outbound``, an upstream's explicit port, …"""
    offer: Offer | None = None
    """The API versions of this instance."""
    registration: Latest[Registration] | None = None
    service: Latest[ServiceHealth] | None = None
    verdict: Latest[Verdict] | None = None
    store: Latest[Store] | None = None
    """Configuration for the service from the registry's KV."""
    outbox: Callable[[], Awaitable[object]] | None = None
    """The relay's state as something msgspec can encode."""
    envoy_metrics: Callable[[], Awaitable[str]] | None = None
    """Envoy's statistics in Prometheus' text form; raises Transient while it does not answer."""
    service_metrics: Callable[[], Awaitable[str]] | None = None
    """The service's own, in the same form; raises Transient while it does not answer."""
    traffic: Callable[[], Awaitable[Mapping[str, Traffic]]] | None = None
    """What Envoy has seen of each upstream; raises Transient while it does not answer."""
    calls: Callable[[], Awaitable[Mapping[str, Traffic]]] | None = None
    """The same in short, for the gateway's graph of the whole system."""
    history: History | None = None
    """What is remembered of the last hour."""
    neighbours: Neighbours | None = None
    """Who calls whom in the whole system; only a gateway knows."""
    presence: Callable[[], Awaitable[Presence]] | None = None
    """What Envoy has counted of the carry hook; raises Transient while it does not answer."""
    explain: Callable[[bytes], object] | None = None
    """What a request, as JSON, would meet, as something msgspec can encode; raises Permanent for what can't be told."""
    drain: Callable[[bool], Awaitable[bool]] | None = None
    """Begin to leave (not ready, critical, ``Connection: close``).

    If asked to wait, go on until requests in flight ended; returns whether they have. Raises Transient.
    """
