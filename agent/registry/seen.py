"""Which state of Consul's something was last read in. Pure."""

from dataclasses import dataclass, field

from agent.registry import selection


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a service was last read."""

    breaks: int
    """``Client.breaks`` then; -1 for what came from disk."""
    identity: str
    """The datastore's name then, empty when unknown."""
    index: int = 0
    """The answer's index: a datastore of the same name with a lower one was put back to an earlier state."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The checks as they were last read."""

    marks: selection.Marks = field(default_factory=dict)
    breaks: int = -1


@dataclass(frozen=True, slots=True)
class State:
    """Which state of Consul's an answer was about."""

    index: int = -1
    breaks: int = -1
