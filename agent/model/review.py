"""What of the registry's services a plan leaves out, and where two of them want the same."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Review:
    """Sentences about what others registered; only the first ones, none of them long."""

    problems: tuple[str, ...] = ()
    """Of things that are left out: instances, routes, whole services."""
    problem_count: int = 0
    conflicts: tuple[str, ...] = ()
    """Of path prefixes that several services ask for."""
    conflict_count: int = 0
