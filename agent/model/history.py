"""What an agent remembers of the last hour."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Slow:
    """The slowest of an operation lately."""

    operation: str
    at: float
    """When it was seen, in seconds since the epoch."""
    within: float | None
    """It took at most so many seconds; None: longer than the histogram can tell."""
    beyond: float
    """It took more than so many seconds."""
    count: int
    """How many were so slow."""
    of: int
    """Of how many in the same moments."""
