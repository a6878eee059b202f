"""One feed's reading and publishing, a turn at a time: decide (``cursor``), read (``reader``), carry
(``courier``), move on."""

from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from agent.outbox.ahead import Ahead, Made, following
from agent.outbox.brokers import Link
from agent.outbox.courier import AwayError, Courier
from agent.outbox.cursor import Cursor, Place, Poll, Walk
from agent.outbox.database import Row
from agent.outbox.delivery import Bar, Delivery, Rules
from agent.outbox.events import Event, Maker, RefusedError, UnjudgedError, blank
from agent.outbox.latency import Latency
from agent.outbox.metrics import Metrics
from agent.outbox.parked.keys import HOME
from agent.outbox.parked.replay import Replay
from agent.outbox.parked.shelf import Shelf
from agent.outbox.reader import Page, Reader
from agent.outbox.snapshot import Snapshot
from agent.outbox.stops import Stops
from agent.outbox.suspicion import TRUSTING, Suspicion

log = structlog.get_logger(__name__)

After = Callable[[Mapping[int, int]], dict[int, Place]]
"""From the lowest unfinished row of each bucket to the places after a page."""


class Turns:
    """Works on a feed that is owned. ``clock`` returns seconds."""

    def __init__(
        self,
        cursor: Cursor,
        reader: Reader,
        maker: Maker,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        fresh: float,
        shelf: Shelf | None = None,
        replay: Replay | None = None,
    ) -> None:
        """``fresh``: what was committed before is taken for published until the first turns have shown more.
        Without a ``shelf`` nothing is set aside: what is refused stops its bucket."""
        self.cursor = cursor
        self.shelf = shelf
        self.stops = Stops(clock)
        self.published = 0
        self.has_more = False
        """Whether the last turn left a tick in the middle: there is more to be read at once."""
        self._reader = reader
        self._ahead = Ahead(reader, self._made)
        self._maker = maker
        self._metrics = metrics
        self._clock = clock
        self.feed = maker.feed.name
        self._underway: Callable[[], dict[int, Place]] | None = None
        self._replay = replay
        self._asked: dict[Snapshot, float] = {}
        self._known = fresh
        self._fresh = dict.fromkeys(cursor.places, fresh)

    def limit(self, rows: int) -> None:
        """Read so many rows at once at the most from now on."""
        self._reader.size = rows

    @property
    def latency(self) -> Latency:
        """How long the database takes to answer."""
        return self._reader.latency

    def places(self) -> dict[int, Place]:
        """What may be saved now, the page that is on its way included as far as it is acknowledged."""
        return {**self.cursor.places, **(self._underway() if self._underway else {})}

    def take(self, places: Mapping[int, Place], suspicion: Suspicion = TRUSTING) -> None:
        """Work on these buckets too. Only between two turns, as ``drop``."""
        self.drop(places)
        fresh = self.fresh
        self.cursor.places.update(places)
        self._fresh.update(dict.fromkeys(places, fresh))
        if self.shelf is not None:
            self.shelf.suspect(suspicion)

    def drop(self, buckets: Collection[int]) -> None:
        """Forget all of these buckets: another relay has them, or will. Only between two turns."""
        self._known = self.fresh
        for bucket in buckets:
            self.cursor.places.pop(bucket, None)
            self.stops.all.pop(bucket, None)
            self._fresh.pop(bucket, None)
        if self.shelf is not None:
            self.shelf.leave(buckets)
        self._metrics.stopped.labels(self.feed).set(len(self.stops.all))

    @property
    def fresh(self) -> float:
        """The moment of the clock before which everything that was committed is published."""
        return min(self._fresh.values(), default=self._known)

    @property
    def lag(self) -> float:
        """Seconds: everything that was committed longer ago is published."""
        return self._clock() - self.fresh

    async def turn(self, courier: Courier, link: Link) -> bool:
        """Read once for each group of buckets and publish what was read; whether there was anything to do.

        Raises what reader and courier raise; what was acknowledged until then is counted.
        """
        self._reader.largest = link.largest
        self.has_more = False
        replayed = await self._resume(courier, link)
        resting = self.stops.resting()
        for tick in self.cursor.stragglers(resting):
            self.cursor.start(tick.buckets, tick.base, tick.target, await self._reader.floor(tick.base))
        walks = self.cursor.walks(resting, {bucket: stop.row for bucket, stop in self.stops.all.items()})
        # What was refused before may be so again, and take long to be: it is walked last of all.
        poll = self.cursor.poll(resting)
        worked = poll is not None and await self._poll(poll, courier, link)
        for walk in walks:
            await self._walk(walk, courier, link, alone=len(walks) == 1)
        return worked or bool(walks) or replayed

    async def _resume(self, courier: Courier, link: Link) -> bool:
        """See that the shelf is right about the buckets, and send again what may go; whether anything went."""
        if self.shelf is not None:
            await self.shelf.refresh(frozenset(self.cursor.places))
        delivery = await self._replay.step(courier, link) if self._replay is not None else None
        if delivery is not None:
            self._count(delivery)
        return delivery is not None and delivery.acknowledged > 0

    async def _walk(self, walk: Walk, courier: Courier, link: Link, *, alone: bool) -> None:
        page, made = await self._ahead.walk(walk)
        bar = await self._set_alone(page, walk.buckets) if page.keyless else None
        last = walk.until if page.whole else page.last
        if bar is not None:
            last = bar.row - 1
            made = [one for one in made if one[0].row < bar.row]
        self.has_more = self.has_more or (bar is None and not page.whole)
        wanted = [one for one in made if self.cursor.wants(one[0].bucket, one[0].row)]
        await self._publish(
            page, wanted, courier, link, lambda unfinished: self.cursor.walked(walk, last, unfinished),
            ahead=following(walk, page, last) if alone and bar is None else None, bar=bar,
        )  # fmt: skip

    async def _set_alone(self, page: Page, buckets: Collection[int]) -> Bar | None:
        """Set the rows aside whose key can't be read, in one of these buckets, which are had: before any other passes
        them, for if they are mended meanwhile they are in another one. The first that can't be stops them all."""
        bucket = min(buckets)
        events = [blank({"bucket": bucket, "key": None}, each.id) for each in page.keyless]
        blocks = self.shelf is None or self.shelf.on_refused == "block"
        then = "outbox.on_refused is block" if blocks else "its key can't be read, so it is set aside alone"
        unfit: dict[int, RefusedError] = {
            number: UnjudgedError(f"{then}: {each.why}") for number, each in enumerate(page.keyless)
        }
        await self._reader.gate(page.wal)
        delivery = self._ruled(events, unfit)
        if self.shelf is not None:
            await self.shelf.keep(delivery, HOME)
        self._count(delivery)
        row = delivery.unfinished().get(bucket)
        if row is None:
            return None
        return Bar(
            row,
            frozenset(each for each in buckets if self.cursor.wants(each, row)),
            f"the key of row {row} can't be read, so nothing may overtake it, and it is not set aside: "
            f"{delivery.reasons[bucket]}",
        )

    async def _poll(self, poll: Poll, courier: Courier, link: Link) -> bool:
        asked = self._clock()
        page = await self._reader.poll(poll)
        seen = page.seen
        assert seen is not None
        self._asked[seen] = asked
        if not page.whole:
            self.cursor.start(poll.buckets, poll.base, seen, await self._reader.floor(poll.base))
            self.has_more = True
            return True
        await self._publish(
            page,
            self._made(page.rows),
            courier,
            link,
            lambda unfinished: self.cursor.polled(poll, seen, unfinished),
        )
        return bool(page.rows)

    async def _publish(
        self, page: Page, made: Made, courier: Courier, link: Link, after: After, *,
        ahead: Walk | None = None, bar: Bar | None = None,
    ) -> None:  # fmt: skip
        delivery = self._delivery(made)
        if bar is not None:
            delivery.stop_at(bar)
        if made:
            await self._reader.gate(page.wal)
        async with self._ahead.reading(ahead):
            self._underway = lambda: after(delivery.unfinished())
            try:
                with self._metrics.page.labels(self.feed).time():
                    await self._carry(delivery, courier, link)
            finally:
                self._underway = None
                self._settle(delivery, after(delivery.unfinished()))

    async def _carry(self, delivery: Delivery, courier: Courier, link: Link) -> None:
        # What is set aside is committed before any place can move past it; until then it is unfinished.
        shelf = self.shelf
        if shelf is None:
            return await courier.carry(delivery, link)
        await shelf.keep(delivery)
        try:
            while True:
                await courier.carry(delivery, link)
                await shelf.keep(delivery)
                if delivery.has_more:
                    continue
                event = delivery.admit()
                if event is None:
                    return await shelf.calm()
                await shelf.attempt(event)
        except AwayError:
            await shelf.keep(delivery)
            await shelf.calm()
            raise

    def _made(self, rows: Iterable[Row]) -> Made:
        made: Made = []
        for row in rows:
            try:
                made.append((self._maker.event(row), None))
            except RefusedError as error:
                made.append((blank(row, row["id"]), error))
        return made

    def _delivery(self, made: Made) -> Delivery:
        events = [event for event, _ in made]
        return self._ruled(
            events, {number: wrong for number, (_, wrong) in enumerate(made) if wrong is not None}
        )

    def _ruled(self, events: list[Event], unfit: dict[int, RefusedError]) -> Delivery:
        return Delivery(
            events, self.shelf.rules(events, unfit) if self.shelf is not None else Rules(unfit=unfit)
        )

    def _count(self, delivery: Delivery) -> None:
        self.published += delivery.acknowledged
        self._metrics.acknowledged(self.feed, delivery.topics)
        self._metrics.refused.labels(self.feed).inc(delivery.refusals + len(delivery.failed))
        if self.shelf is not None:
            self.shelf.patience.settle(delivery)

    def _settle(self, delivery: Delivery, places: Mapping[int, Place]) -> None:
        self.cursor.move(places)
        unfinished = delivery.unfinished()
        self._count(delivery)
        if self.shelf is not None:
            self.shelf.moved(places, unfinished)
        settled = self.stops.settle(delivery.reasons, unfinished, places, delivery.delays)
        for bucket, stop in settled.items():
            what = "outbox.not_taken_now" if bucket in delivery.passing else "outbox.refused"
            log.warning(what, feed=self.feed, bucket=bucket, row=stop.row, reason=stop.reason)
        self._metrics.stopped.labels(self.feed).set(len(self.stops.all))
        for bucket, place in places.items():
            if place.target is None:
                self._fresh[bucket] = self._asked.get(place.base, self._fresh[bucket])
        used = {each for place in self.cursor.places.values() for each in (place.base, place.target)}
        self._asked = {seen: at for seen, at in self._asked.items() if seen in used}
