"""One page of events on its way: one message of a key in flight, an acknowledgement for each. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence

from agent.outbox.events import Event


class Delivery:
    """Says which events may be sent now and what is settled; a number is an event's place in the page.

    The page's events stand in order of row, as the reader gives them.
    """

    def __init__(self, events: Sequence[Event], refused: Iterable[tuple[int, int, str]] = ()) -> None:
        """``refused`` are rows that are no events: bucket, row, reason. Later rows of their buckets are
        not sent."""
        self.events = events
        self.reasons: dict[int, str] = {}
        """Why a bucket stopped, by bucket."""
        self.acknowledged = 0
        self._bad: dict[int, int] = {}
        self._waiting: defaultdict[str, deque[int]] = defaultdict(deque)
        self._open: set[int] = set()
        self._flying: set[int] = set()
        self._first: deque[int] = deque()
        for bucket, row, reason in sorted(refused, key=lambda each: each[1]):
            if self._bad.setdefault(bucket, row) == row:
                self.reasons[bucket] = reason
        self._plan()

    def _plan(self) -> None:
        for number, event in enumerate(self.events):
            self._open.add(number)
            line = self._waiting[event.key] if event.key is not None else deque[int]()
            line.append(number)
            if len(line) == 1 and self._goes(event):
                self._first.append(number)

    def start(self) -> list[int]:
        """The events that may be sent at once."""
        numbers = list(self._first)
        self._first.clear()
        self._flying.update(numbers)
        return numbers

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
        event = self.events[number]
        if event.key is None:
            return None
        line = self._waiting[event.key]
        line.popleft()
        if not line or not self._goes(self.events[line[0]]):
            return None
        self._flying.add(line[0])
        return line[0]

    def refuse(self, number: int, reason: str) -> None:
        """The broker refused the event: its bucket stops here, what is in flight is still waited for."""
        if number not in self._flying:
            return
        self._flying.discard(number)
        event = self.events[number]
        if event.row <= self._bad.get(event.bucket, event.row):
            self._bad[event.bucket] = event.row
            self.reasons[event.bucket] = reason

    @property
    def topics(self) -> Iterator[str]:
        """The topic of each event that was acknowledged."""
        return (event.topic for number, event in enumerate(self.events) if number not in self._open)

    @property
    def in_flight(self) -> int:
        """How many events were sent and have no answer."""
        return len(self._flying)

    @property
    def flying(self) -> frozenset[int]:
        """The events that were sent and have no answer."""
        return frozenset(self._flying)

    def unfinished(self) -> dict[int, int]:
        """The lowest row that is not acknowledged, by bucket; buckets that are all done are absent."""
        lowest = dict(self._bad)
        for number in self._open:
            event = self.events[number]
            lowest[event.bucket] = min(event.row, lowest.get(event.bucket, event.row))
        return lowest
