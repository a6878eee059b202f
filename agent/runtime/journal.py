"""The newest facts of a kind, kept in bounded memory for whoever looks later."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """Something that happened."""

    at: float
    """Seconds of the journal's clock."""
    subject: str
    """What it happened to, in a few fixed words."""
    outcome: str
    """One word: ``accepted``, ``refused``, …"""
    detail: str = ""
    """A sentence, cut when long; may hold others' text, never a value or a secret."""


class Journal:
    """Keeps the last ``most`` entries of each subject; ``clock`` returns seconds, wall-clock time in production.

    Subjects are few and fixed: they are written in the program, none comes from outside.
    """

    def __init__(self, clock: Callable[[], float], most: int = 25, longest: int = 600) -> None:
        self._clock = clock
        self._most = most
        self._longest = longest
        self._entries: dict[str, deque[Entry]] = {}

    def add(self, subject: str, outcome: str, detail: str = "") -> None:
        """Note that it happened now."""
        if len(detail) > self._longest:
            detail = f"{detail[: self._longest]}…"
        kept = self._entries.setdefault(subject, deque(maxlen=self._most))
        kept.append(Entry(self._clock(), subject, outcome, detail))

    @property
    def newest(self) -> tuple[Entry, ...]:
        """All that is kept, newest first."""
        entries = (entry for kept in self._entries.values() for entry in kept)
        return tuple(sorted(entries, key=lambda entry: entry.at, reverse=True))
