"""What the registrar is to tell Consul and what it has told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What the TTL check is to say now; written by the gate, fed to Consul by the registrar."""

    passing: bool = False
    note: str = "starting"
    """One sentence that Consul's UI shows as the check's output."""


@dataclass(frozen=True)
class Registration:
    """What Consul knows of this instance, as far as the registrar has seen."""

    registered: bool = False
    told: Verdict | None = None
    """The verdict that Consul acknowledged last; None before the first or after Consul lost the registration."""
    problem: str = ""
    """Why the registration is not as it should be; empty when it is."""


@dataclass(frozen=True)
class ServiceHealth:
    """The service's own health as its sidecar measures it."""

    healthy: bool = False
    detail: str = "not checked yet"
