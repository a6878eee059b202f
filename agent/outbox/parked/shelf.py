"""What one owner of a feed has set aside, as far as it must remember it to read on."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

import structlog

from agent.outbox.delivery import Aside, Delivery, Policy, Rules
from agent.outbox.events import Event, RefusedError, UnjudgedError
from agent.outbox.metrics import Metrics
from agent.outbox.parked import keys
from agent.outbox.parked.keys import Known, Limits
from agent.outbox.parked.ledger import HeldLedger, Tally
from agent.outbox.parked.patience import Patience
from agent.outbox.suspicion import Suspicion

log = structlog.get_logger(__name__)

FIRST_WAIT = 5.0
"""Seconds until a held key is tried for the first time."""

AGAIN = 10.0
"""Seconds between two looks at how much is set aside, where something is."""

POISON = "the relay's process ended while it was being sent"


class Shelf:
    """The owner's memory of its keys. Only the owner adds a key or lets it go, so this memory is the truth for as
    long as the buckets are owned. ``clock`` returns seconds."""

    def __init__(
        self,
        ledger: HeldLedger,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        feed: str,
        limits: Limits,
        on_refused: Policy,
        hold_after: float,
        suspicion: Suspicion,
    ) -> None:
        """``hold_after`` in seconds, see ``Patience``."""
        self.ledger = ledger
        self.keys: dict[str, Known] = {}
        self.buckets: frozenset[int] = frozenset()
        self.tally = Tally({}, 0, 0.0)
        self.on_refused = on_refused
        self.patience = Patience(hold_after, clock)
        self._metrics = metrics
        self._clock = clock
        self._feed = feed
        self._limits = limits
        self._careful = suspicion.careful
        self._suspects = suspicion.rows
        self._rows: Counter[str] = Counter()
        self._looked = 0.0
        self._attempted: set[int] = set()
        self._left_out: dict[int, None] = {}

    def suspect(self, suspicion: Suspicion) -> None:
        """What is known of the former owners of buckets that were taken."""
        self._careful |= suspicion.careful
        self._suspects |= suspicion.rows

    def leave(self, buckets: Collection[int]) -> None:
        """These buckets are another's, who may set aside and let go what he likes: should they come back, they are
        looked at anew."""
        self.buckets = self.buckets.difference(buckets)
        self._careful.difference_update(buckets)
        self._attempted.difference_update(buckets)
        for bucket in buckets:
            self._suspects.pop(bucket, None)

    async def refresh(self, buckets: frozenset[int]) -> None:
        """Be right about these buckets; call it before any of their rows is read."""
        if buckets != self.buckets:
            await self._load(buckets)
        elif (self.keys or keys.HOME in buckets) and self._clock() - self._looked >= AGAIN:
            await self._count()

    async def _load(self, buckets: frozenset[int]) -> None:
        self.keys, rows = await self.ledger.known(buckets)
        self._rows = Counter(rows)
        if self.on_refused == "skip":
            self._left_out = dict.fromkeys(reversed(await self.ledger.left_out()))
        self.buckets = buckets
        await self._count()

    async def _count(self) -> None:
        self._looked = self._clock()
        self.tally = await self.ledger.tally()
        self._metrics.set_aside(self._feed, self.tally.keys, self.tally.rows, self.tally.oldest)
        if keys.HOME in self.buckets and self.tally.keys:
            await self._come_home()

    async def _come_home(self) -> None:
        """Know of the rows that other relays set aside for the owner of this bucket."""
        found, rows = await self.ledger.known({keys.HOME})
        for name in [name for name, each in self.keys.items() if each.bucket == keys.HOME]:
            del self.keys[name], self._rows[name]
        self.keys |= found
        self._rows |= Counter(rows)

    def rules(self, events: list[Event], unfit: dict[int, RefusedError]) -> Rules:
        """What is done with these events, of which some are none."""
        if self._suspects:
            for number, event in enumerate(events):
                if self._suspects.get(event.bucket) == event.row:
                    unfit[number] = UnjudgedError(POISON)
        if self._left_out:
            for number, event in enumerate(events):
                if event.row in self._left_out:
                    unfit[number] = RefusedError("it was left out before")
        return Rules(
            self.on_refused,
            unfit,
            known=self._is_known,
            ripe=self.patience.is_up,
            careful=self._is_careful,
        )

    def _is_known(self, event: Event) -> bool:
        return bool(self.keys) and keys.of(event) in self.keys

    def _is_careful(self, event: Event) -> bool:
        return event.bucket in self._careful

    async def keep(self, delivery: Delivery, home: int | None = None) -> None:
        """Commit what is to be set aside, then tell the delivery; what does not fit stops its bucket. ``home``: see
        ``HeldLedger.append``."""
        asides = delivery.aside()
        if not asides:
            return
        fit, over = keys.fitting(asides, self._limits, self._rows, self.tally.rows)
        if over and self._clock() - self._looked >= 1:
            # A person may have discarded some since.
            await self._load(self.buckets)
            fit, over = keys.fitting(asides, self._limits, self._rows, self.tally.rows)
        kept = [each.number for each in fit]
        if over:
            # What is read again after a crash, or was kept by another relay, needs no room.
            there = await self.ledger.there({each.event.row for each, _ in over})
            kept += [each.number for each, _ in over if each.event.row in there]
            over = [(each, reason) for each, reason in over if each.event.row not in there]
        new = [each for each in fit if each.verdict != "skipped" or each.event.row not in self._left_out]
        if new:
            await self.ledger.append(new, self.keys, FIRST_WAIT, home)
            self._remember(new, home)
        delivery.kept(kept)
        for each, reason in over:
            delivery.stop(each.number, reason)

    def _remember(self, asides: list[Aside], home: int | None) -> None:
        added = 0
        for each in asides:
            name = keys.of(each.event)
            if each.verdict == "skipped":
                self._metrics.skipped.labels(self._feed).inc()
                self._left_out[each.event.row] = None
                if len(self._left_out) > keys.REMEMBERED:
                    del self._left_out[next(iter(self._left_out))]
                self._say(each)
                continue
            bucket = each.event.bucket if home is None else home
            if home is not None and home not in self.buckets:
                continue
            if name not in self.keys:
                self.keys[name] = Known(bucket, "parked" if each.verdict == "parked" else "held", each.reason)
                self._say(each)
            self._rows[name] += 1
            added += 1
        self.tally = Tally(self.tally.keys, self.tally.rows + added, self.tally.oldest)
        self._looked = min(self._looked, self._clock() - AGAIN)

    def _say(self, aside: Aside) -> None:
        log.warning(
            "outbox.set_aside",
            feed=self._feed,
            verdict=aside.verdict,
            bucket=aside.event.bucket,
            row=aside.event.row,
            reason=aside.reason,
        )

    async def attempt(self, event: Event) -> None:
        """Note durably that the event is sent alone now, and no other is any more."""
        await self.ledger.attempt(self._attempted, event.bucket, event.row)
        self._attempted = {event.bucket}

    async def calm(self) -> None:
        """The process outlived what it attempted."""
        if self._attempted:
            await self.ledger.attempt(self._attempted)
            self._attempted = set()

    def moved(self, buckets: Collection[int], unfinished: Mapping[int, int]) -> None:
        """These buckets' page is done but for what is unfinished."""
        if self._careful:
            done = {bucket for bucket in buckets if bucket not in unfinished}
            self._careful -= done
            for bucket in done:
                self._suspects.pop(bucket, None)

    def sent(self, freed: Collection[str], rows: Counter[str]) -> None:
        """So many rows of each key went out, and these keys have none left."""
        for name, count in rows.items():
            self._rows[name] = max(0, self._rows[name] - count)
        for name in freed:
            self.keys.pop(name, None)
            self._rows.pop(name, None)
        self.tally = Tally(self.tally.keys, max(0, self.tally.rows - rows.total()), self.tally.oldest)
        self._looked = min(self._looked, self._clock() - AGAIN)

    async def recount(self) -> None:
        """Count what is left, so that the metrics fall when the last key went."""
        await self._count()
