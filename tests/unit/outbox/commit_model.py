"""A model of transactions that write events and lock what they are about: every order in which they can run.

A transaction is a list of steps, each at one moment: ``note`` writes an event, ``lock`` waits for what it is about and
keeps it, ``number`` is the deferred trigger at the start of the commit, ``see`` the moment at which others see the
transaction and its locks are free. In between lies what a commit does: the wait for the disk, what else is deferred.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Literal

Step = Literal["note", "lock", "number", "see"]
Numbering = Literal["written", "commit", "commit-locked"]
"""When an event gets its number: as it is written, at the commit, or there behind a lock of its key."""

EVENT_FIRST: tuple[Step, ...] = ("note", "lock", "number", "see")
EVENT_LAST: tuple[Step, ...] = ("lock", "note", "number", "see")
NO_LOCK: tuple[Step, ...] = ("note", "number", "see")
LATE_LOCK: tuple[Step, ...] = ("note", "number", "lock", "see")
"""A deferred foreign key, or a deferred trigger of the service, waits within the commit."""


@dataclass(frozen=True)
class Run:
    """One order in which all of them ran, or as far as they came."""

    numbers: dict[int, int]
    """By transaction, as drawn from the sequence."""
    times: dict[tuple[int, Step], int]
    """When each did what."""
    stuck: bool = False
    """They waited for each other for ever."""

    def inverted(self, *moments: Step) -> list[tuple[int, int]]:
        """Pairs of which the first was seen before the second came to one of these moments, and has the higher
        number: a relay that reads both at once tells them in the wrong order."""
        return [
            (a, b)
            for a, b in permutations(self.numbers, 2)
            if any(
                self.times[(a, "see")] < self.times[(b, each)] for each in moments if (b, each) in self.times
            )
            and self.numbers[a] > self.numbers[b]
        ]


@dataclass
class _State:
    at: list[int]
    row: int | None = None
    """Who has the lock of what the events are about."""
    key: int | None = None
    """Who has the lock of the events' key."""
    numbers: dict[int, int] = field(default_factory=dict)
    times: dict[tuple[int, Step], int] = field(default_factory=dict)
    drawn: int = 0
    now: int = 0

    def copy(self) -> "_State":
        return _State(
            list(self.at), self.row, self.key, dict(self.numbers), dict(self.times), self.drawn, self.now
        )


def runs(programs: Sequence[Sequence[Step]], numbering: Numbering) -> Iterator[Run]:
    """Every run of these transactions, whose events all have one key."""
    waiting = [_State([0] * len(programs))]
    while waiting:
        state = waiting.pop()
        open_ = [tx for tx, steps in enumerate(programs) if state.at[tx] < len(steps)]
        moved = [
            after
            for tx in open_
            if (after := _step(state, tx, programs[tx][state.at[tx]], numbering)) is not None
        ]
        if moved:
            waiting += moved
        else:
            yield Run(state.numbers, state.times, stuck=bool(open_))


def _step(before: _State, tx: int, step: Step, numbering: Numbering) -> _State | None:
    """The state after the step; None: it has to wait."""
    state = before.copy()
    if step == "lock":
        if state.row not in (None, tx):
            return None
        state.row = tx
    if step == "number" and numbering == "commit-locked":
        if state.key not in (None, tx):
            return None
        state.key = tx
    if step == ("note" if numbering == "written" else "number"):
        state.drawn += 1
        state.numbers[tx] = state.drawn
    if step == "see":
        state.row = None if state.row == tx else state.row
        state.key = None if state.key == tx else state.key
    state.now += 1
    state.times[(tx, step)] = state.now
    state.at[tx] += 1
    return state
