"""Whether the carry hook works in the service, as far as its answers tell."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Presence:
    """Counted by Envoy since it started."""

    answers: int
    """Answers that surely came from the service: its own errors (5xx) are not among them unless they have the
    header.
    """
    with_hook: int
    """Those of them to which the hook had added its header."""

    @property
    def active(self) -> Literal["yes", "no", "unknown"]:
        """``unknown`` before the first answer."""
        if self.with_hook:
            return "yes"
        return "no" if self.answers else "unknown"
