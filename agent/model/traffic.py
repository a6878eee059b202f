"""What Envoy has seen of an upstream since it started, and how it judges its instances."""

from collections.abc import Mapping
from dataclasses import dataclass

Buckets = Mapping[float, int]
"""A histogram: upper bound in seconds → how many took at most so long, since the counting began."""


@dataclass(frozen=True)
class Host:
    """One instance as Envoy sees it."""

    address: str
    unwell: tuple[str, ...] = ()
    """Why it gets no requests; empty while it does."""
    requests: int = 0
    failed: int = 0
    active: int = 0
    """Requests under way."""


@dataclass(frozen=True)
class Traffic:
    """One upstream."""

    hosts: tuple[Host, ...] = ()
    requests: int = 0
    """Tries, the repeated ones among them."""
    failed: int = 0
    """Answers with a 5xx, and tries without any answer."""
    retries: int = 0
    saved: int = 0
    """Requests that a further try saved."""
    full: tuple[str, ...] = ()
    """Limits of the circuit breaker that are reached now: ``connections``, ``requests``, ``waiting``."""
    turned_away: int = 0
    """Requests answered 503 by the circuit breaker."""

    @property
    def ejected(self) -> int:
        """Instances that get no requests now, whether they failed calls or checks."""
        return sum(bool(host.unwell) for host in self.hosts)
