"""What a check says."""

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How bad it is, from nothing to worst."""

    NOT_APPLICABLE = "not applicable"
    OK = "ok"
    WARNING = "warning"
    """It works, but not as one may expect, or not for long."""
    PROBLEM = "problem"
    """Something does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    id: str
    """Stable, dotted: ``webhook.ca``; scripts and pages refer to it."""
    level: Level
    subject: str
    """What was looked at, as a noun: ``the CA of the webhook configuration pillion-injector``."""
    found: str
    """What was found, as a clause; never a secret. Others' words in it are hostile until shown."""
    todo: str = ""
    """What to do, as a sentence; there is one for each warning and problem."""

    @property
    def is_wrong(self) -> bool:
        """Whether something is to be done."""
        return self.level in {Level.WARNING, Level.PROBLEM}


def ok(id_: str, subject: str, found: str) -> Finding:
    """All is well."""
    return Finding(id_, Level.OK, subject, found)


def absent(id_: str, subject: str, found: str) -> Finding:
    """There is nothing to be looked at."""
    return Finding(id_, Level.NOT_APPLICABLE, subject, found)


def warning(id_: str, subject: str, found: str, todo: str) -> Finding:
    """It works, but."""
    return Finding(id_, Level.WARNING, subject, found, todo)


def problem(id_: str, subject: str, found: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(id_, Level.PROBLEM, subject, found, todo)


@dataclass(frozen=True)
class Check:
    """Something to look at."""

    id: str
    """Of its findings, or how they begin."""
    subject: str
    """What it looks at, for when it can't."""
    look: Callable[[], Awaitable[Sequence[Finding]]]
    """Changes nothing. Raises Transient and Permanent when it can't look."""
