"""The contract of everything that lives as long as the agent does."""

from collections.abc import Callable
from typing import Protocol

Ready = Callable[[], None]
"""Called once by a component when it truly serves; calling it again does nothing."""


class Component(Protocol):
    """A named, eternal task.

    An implementer guarantees: ``run`` calls ``ready`` when it truly serves and then runs until it is
    cancelled; on cancellation it cleans up within ``stop_budget`` seconds and lets the cancellation pass
    through. Returning or raising by itself is a crash: it ends the agent. Transient errors never leave
    ``run``.
    """

    @property
    def name(self) -> str:
        """Unique among the components of a process; appears in logs, status and metrics."""

    @property
    def stop_budget(self) -> float:
        """Seconds that the clean-up may take before the component is abandoned."""

    async def run(self, ready: Ready) -> None:
        """Do the component's work until cancelled."""
