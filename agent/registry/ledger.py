"""What the registrar needs of Consul, whichever way the instance is written down there."""

from collections.abc import Mapping
from typing import Any, Protocol

from agent.model.registration import Verdict
from agent.registry.definition import Definition


class Ledger(Protocol):
    """Where one instance is registered. Two ways: ``by_agent`` and ``by_catalog``.

    An implementer guarantees: every method raises Transient (away, busy) or Permanent (refused, with what to
    do); nothing is written while another copy of the instance could come to be.
    """

    @property
    def feeding(self) -> float:
        """Seconds within which Consul must be told the verdict again; infinite where it forgets nothing."""

    async def credentials(self) -> int:
        """Rises when the instance must be written again because of another token; 0: never, or without one."""

    async def address(self) -> str:
        """Where callers reach this machine, as far as the way to Consul tells."""

    async def look(self, desired: Definition) -> Mapping[str, Any] | None:
        """What is registered under the definition's id in the form of Consul's agent, None when nothing."""

    async def write(self, desired: Definition, verdict: Verdict) -> None:
        """Register or replace; the check is as ``verdict`` says where Consul does not have it yet."""

    async def tell(self, desired: Definition, verdict: Verdict) -> bool:
        """Set the check; False when Consul does not know it (any more)."""

    async def remove(self, instance: str) -> None:
        """Deregister; one that Consul does not know is no error."""
