"""Whether the carry hook works in the service, as far as its answers tell."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Presence:
    """Counted by Envoy since it started."""

    answers: int
    """Answers that came from the service."""
    with_hook: int
    """Those of them to which the hook had added its header."""

    @property
    def active(self) -> Literal["yes", "no", "unknown"]:
        """``unknown`` before the first answer."""
        if self.with_hook:
            return "yes"
        return "no" if self.answers else "unknown"
