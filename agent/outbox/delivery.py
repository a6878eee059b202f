"""One page of events on its way: one message of a key in flight, an acknowledgement for each. Pure.

What can't be had out either stops its bucket or is set aside with everything of its key behind it. An event that is
set aside counts as unfinished until ``kept`` is told that the database holds it: only then may a place move past it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.outbox.events import Event, RefusedError, UnjudgedError

Policy = Literal["park", "skip", "block"]
"""What becomes of a refused event: its key is parked, it alone is left out, or its bucket stops. One of which
nobody has said that it is bad itself is never left out: its key is parked then."""

Verdict = Literal["known", "held", "parked", "skipped"]
"""Why an event is set aside: its key was before, its key is from now on, or it alone is left out."""


def never(_event: Event) -> bool:
    """A rule that fits no event."""
    return False


def patient(_event: Event, _alone: bool) -> bool:
    """No key is held, however long it fails."""
    return False


@dataclass(frozen=True)
class Rules:
    """What is done with which event. By default nothing is set aside, and what is refused stops its bucket."""

    on_refused: Policy = "block"
    unfit: Mapping[int, RefusedError] = field(default_factory=dict)
    """Why an event is none, or must not be sent, by its place in the page."""
    known: Callable[[Event], bool] = never
    """Whether the event's key is set aside already."""
    ripe: Callable[[Event, bool], bool] = patient
    """Whether the event's key has failed for so long that it is held if it fails now; told whether it is known that
    the broker is well."""
    careful: Callable[[Event], bool] = never
    """Whether the event is sent alone, after all others."""


@dataclass(frozen=True)
class Aside:
    """An event that was not sent, or not taken, and is to be kept elsewhere."""

    number: int
    """Its place in the page."""
    event: Event
    verdict: Verdict
    reason: str
    delay: float
    """Seconds that the broker asked to wait for."""


@dataclass(frozen=True)
class Bar:
    """A row behind a page's events that is not one of them, and that nothing of some buckets may pass."""

    row: int
    buckets: frozenset[int]
    reason: str


class Delivery:
    """Says which events may be sent now and what is settled; a number is an event's place in the page.

    The page's events stand in order of row, as the reader gives them; those that are replayed in the order in which
    they were set aside.
    """

    def __init__(
        self, events: Sequence[Event], rules: Rules | None = None, names: Sequence[str] | None = None
    ) -> None:
        """``names`` say which events belong together where it is not their keys that do."""
        self.events = events
        self.reasons: dict[int, str] = {}
        """Why a bucket stopped, by bucket."""
        self.passing: set[int] = set()
        """Buckets that stopped behind an event that was not refused, only not taken now."""
        self.delays: dict[int, float] = {}
        """Seconds that the broker asked a stopped bucket to wait for."""
        self.failed: list[int] = []
        """Events that were not taken now and may be later."""
        self.refusals = 0
        self.acknowledged = 0
        self._rules = rules or Rules()
        self._bad: dict[int, int] = {}
        self._lines: list[deque[int]] = []
        """Of each event: the events of its key that are not done yet, in order."""
        self._open = set(range(len(events)))
        self._flying: set[int] = set()
        self._first: deque[int] = deque()
        self._careful: deque[int] = deque()
        self._aside: dict[int, Aside] = {}
        self._undecided: set[int] = set()
        if self._rules.on_refused == "block":
            for number, error in self._rules.unfit.items():
                if not self._rules.known(events[number]):
                    self.refusals += 1
                    self._stop(number, str(error))
        self._plan(names)

    def _plan(self, names: Sequence[str] | None) -> None:
        lines: dict[str | int, deque[int]] = {}
        known: set[str | int] = set()
        for number, event in enumerate(self.events):
            # Without a key an event is ordered by nothing.
            name = names[number] if names is not None else number if event.key is None else event.key
            line = lines.get(name)
            if line is None:
                line = lines[name] = deque()
                if self._rules.known(event):
                    known.add(name)
            line.append(number)
            self._lines.append(line)
        for name, line in lines.items():
            if name in known:
                self._divert(line, "known", "", 0.0)
            elif (first := self._next(line)) is not None:
                self._first.append(first)

    def _next(self, line: deque[int]) -> int | None:
        """The event at the head of a line if it may be sent now."""
        if not line or (self._bad and not self._goes(self.events[line[0]])):
            return None
        number = line[0]
        if number in self._rules.unfit:
            error = self._rules.unfit[number]
            self._refused(number, str(error), judged=not isinstance(error, UnjudgedError))
            return None
        if self._rules.careful(self.events[number]):
            self._careful.append(number)
            return None
        return number

    def start(self) -> list[int]:
        """The events that may be sent at once."""
        numbers = list(self._first)
        self._first.clear()
        self._flying.update(numbers)
        return numbers

    def admit(self) -> Event | None:
        """Let the next of the events that are sent alone start; None when there is none."""
        while self._careful:
            number = self._careful.popleft()
            if self._goes(self.events[number]):
                self._first.append(number)
                return self.events[number]
        return None

    @property
    def has_more(self) -> bool:
        """Whether there are events to start."""
        return bool(self._first)

    def _goes(self, event: Event) -> bool:
        stop = self._bad.get(event.bucket)
        return stop is None or event.row < stop

    def acknowledge(self, number: int) -> int | None:
        """The broker has the event; the next of its key that may be sent now, None without one."""
        if number not in self._flying:
            return None
        self._flying.discard(number)
        self._open.discard(number)
        self.acknowledged += 1
        line = self._lines[number]
        line.popleft()
        follower = self._next(line)
        if follower is not None:
            self._flying.add(follower)
        return follower

    def refuse(self, number: int, reason: str, *, own: bool = True) -> None:
        """The broker refused the event and will again; ``own``: for what it is, not for where it goes."""
        if number in self._flying:
            self._flying.discard(number)
            self._refused(number, reason, judged=own)

    def _refused(self, number: int, reason: str, *, judged: bool) -> None:
        self.refusals += 1
        policy = self._rules.on_refused
        if policy == "park" or (policy == "skip" and not judged):
            self._divert(self._lines[number], "parked", reason, 0.0)
        elif policy == "skip":
            # It stays at the head of its line: what follows goes only when it is kept that this one was left out.
            # Else it might be taken after a crash, behind what follows it.
            self._put(number, "skipped", reason, 0.0)
        else:
            self._stop(number, reason)

    def later(self, number: int, reason: str, delay: float = 0.0, *, alone: bool = False) -> None:
        """The broker did not take the event now, but may in ``delay`` seconds; ``alone``: it is known to be well."""
        if number not in self._flying:
            return
        self._flying.discard(number)
        self.failed.append(number)
        if self._rules.ripe(self.events[number], alone):
            self._divert(self._lines[number], "held", reason, delay)
            return
        bucket = self.events[number].bucket
        self.delays[bucket] = max(delay, self.delays.get(bucket, 0.0))
        self._stop(number, reason, passing=True)

    def _stop(self, number: int, reason: str, *, passing: bool = False) -> None:
        """The event's bucket stops here; what is in flight is still waited for."""
        event = self.events[number]
        if event.row <= self._bad.get(event.bucket, event.row):
            self._bad[event.bucket] = event.row
            self.reasons[event.bucket] = reason
            (self.passing.add if passing else self.passing.discard)(event.bucket)

    def stop_at(self, bar: Bar) -> None:
        """Stop buckets behind the events, where they have not stopped before."""
        for bucket in bar.buckets:
            self._bad.setdefault(bucket, bar.row)
            self.reasons.setdefault(bucket, bar.reason)

    def _divert(self, line: deque[int], verdict: Verdict, reason: str, delay: float) -> None:
        for number in line:
            self._put(number, verdict, reason, delay)
        line.clear()

    def _put(self, number: int, verdict: Verdict, reason: str, delay: float) -> None:
        self._aside[number] = Aside(number, self.events[number], verdict, reason, delay)
        self._undecided.add(number)

    def aside(self) -> list[Aside]:
        """What is to be kept elsewhere and is not yet, in order of the page."""
        return [self._aside[number] for number in sorted(self._undecided)]

    @property
    def set_aside(self) -> Iterable[Aside]:
        """Everything that was, kept or not."""
        return self._aside.values()

    def kept(self, numbers: Iterable[int]) -> None:
        """The database holds these events of ``aside``, or that they were left out: they are done."""
        for number in numbers:
            self._undecided.discard(number)
            self._open.discard(number)
            if self._aside[number].verdict == "skipped":
                line = self._lines[number]
                line.popleft()
                if (follower := self._next(line)) is not None:
                    self._first.append(follower)

    def stop(self, number: int, reason: str) -> None:
        """An event of ``aside`` can't be kept: its bucket stops there."""
        self._undecided.discard(number)
        self._stop(number, reason)

    @property
    def done(self) -> Iterator[int]:
        """The events that were acknowledged."""
        return (
            number
            for number in range(len(self.events))
            if number not in self._open and number not in self._aside
        )

    @property
    def topics(self) -> Iterator[str]:
        """The topic of each event that was acknowledged."""
        return (self.events[number].topic for number in self.done)

    @property
    def in_flight(self) -> int:
        """How many events were sent and have no answer."""
        return len(self._flying)

    @property
    def flying(self) -> frozenset[int]:
        """The events that were sent and have no answer."""
        return frozenset(self._flying)

    def unfinished(self) -> dict[int, int]:
        """The lowest row that is neither acknowledged nor kept, by bucket; buckets that are all done are absent."""
        lowest = dict(self._bad)
        for number in self._open:
            event = self.events[number]
            lowest[event.bucket] = min(event.row, lowest.get(event.bucket, event.row))
        return lowest
