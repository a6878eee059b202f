"""The kinds of findings. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A kind of finding."""

    id: str
    looks: str
    """What is looked at."""
    problem: str = ""
    """When it is a problem; empty: never."""
    warning: str = ""
    """When it is a warning; empty: never."""
    todo: str = ""
    """What is done about it, in short; the finding itself says it for the case at hand."""


@dataclass(frozen=True)
class Part:
    """Findings about one thing."""

    title: str
    when: str
    """When it is looked at, as a sentence."""
    entries: tuple[Entry, ...]
