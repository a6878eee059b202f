"""What driver, wire clients and our own decisions can do each alone, in this process and without the others."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import asyncpg

from agent.config.sections.outbox import Broker, Outbox
from agent.outbox import brokers, events, shape
from agent.outbox.cursor import Walk
from agent.outbox.database import Database
from agent.outbox.delivery import Delivery
from agent.outbox.events import Event
from agent.outbox.feeds import feeds
from agent.outbox.reader import Reader
from agent.outbox.snapshot import Snapshot
from tests.bench.outbox.figures import Figures

WINDOW = 1000
PAGE = 1000
NOTHING = Snapshot.parse("3:3:")


class Cost:
    """Time and CPU of this process since it was made."""

    def __init__(self) -> None:
        self._at, self._cpu = time.monotonic(), time.process_time()

    def note(self, figures: Figures, what: str, rows: int) -> None:
        """The figures of so many rows."""
        took, used = time.monotonic() - self._at, time.process_time() - self._cpu
        figures.note(f"{what}: rows a second", rows / took, "rows/s")
        figures.note(f"{what}: this process's CPU for 1,000", used / rows * 1000, "s")


async def fetching(figures: Figures, url: str) -> None:
    """The driver alone: the five columns, by id."""
    connection = await asyncpg.connect(url)
    statement = await connection.prepare(
        "SELECT pillion_id, id, aggregatetype, aggregateid, type, payload FROM outbox WHERE pillion_id > $1 "
        f"ORDER BY pillion_id LIMIT {PAGE}"
    )
    cost, count, last = Cost(), 0, 0
    while rows := await statement.fetch(last):
        last, count = rows[-1]["pillion_id"], count + len(rows)
    cost.note(figures, "the driver alone, pages of 1,000", count)
    await connection.close()


async def reading(figures: Figures, outbox: Outbox) -> list[Event]:
    """The relay's own query, and what it makes of the rows."""
    feed = feeds(outbox)[0]
    async with Database(lambda: outbox.database).connection() as connection:
        target = Snapshot.parse(await connection.value("looking", "SELECT pg_current_snapshot()::text"))
        table = await shape.look(connection, feed)
        reader = Reader(connection, table, feed.name, PAGE)
        pages, last, whole = [], 0, False
        cost = Cost()
        while not whole:
            page = await reader.walk(Walk(frozenset(range(64)), NOTHING, target, last))
            pages.append(page.rows)
            last, whole = page.rows[-1]["id"] if page.rows else last, page.whole
        cost.note(figures, "the relay's query, pages of 1,000", sum(map(len, pages)))
    maker = events.Maker("bench", feed, table.content, 1)
    cost, made = Cost(), [[maker.event(row) for row in rows] for rows in pages]
    cost.note(figures, "rows made into events", sum(map(len, made)))
    cost = Cost()
    for some in made:
        _settle(Delivery(some))
    cost.note(figures, "who may go next, decided", sum(map(len, made)))
    return [event for some in made for event in some]


def _settle(delivery: Delivery) -> None:
    flying = delivery.start()
    while flying:
        follower = delivery.acknowledge(flying.pop())
        if follower is not None:
            flying.append(follower)


class Window:
    """So many events in flight, whatever their keys."""

    def __init__(self, sent: Sequence[Event]) -> None:
        self.link: brokers.Link | None = None
        self.done = asyncio.Event()
        self._rest: Iterator[tuple[int, Event]] = enumerate(sent)
        self._left = len(sent)

    def start(self) -> None:
        """Fill it."""
        for _ in range(WINDOW):
            self._next()

    def _next(self) -> None:
        following = next(self._rest, None)
        if following is not None and self.link is not None:
            self.link.send(*following)

    def acknowledged(self, _number: int) -> None:
        """See ``brokers.Outcomes``."""
        self._left -= 1
        self._next()
        if not self._left:
            self.done.set()

    def refused(self, _number: int, reason: str, *, own: bool = True) -> None:
        """See ``brokers.Outcomes``."""
        raise SystemExit(reason)

    def later(self, _number: int, reason: str, _delay: float = 0.0) -> None:
        """See ``brokers.Outcomes``."""
        raise SystemExit(reason)

    def lost(self, reason: str) -> None:
        """See ``brokers.Outcomes``."""
        raise SystemExit(reason)


async def publishing(figures: Figures, name: str, settings: Broker, sent: Sequence[Event]) -> None:
    """The wire client alone: events that are there already, answers counted and nothing else."""
    window = Window(sent)
    async with brokers.make(settings, "bench").link(window, frozenset({"outbox.event.>"})) as link:
        window.link = link
        cost = Cost()
        window.start()
        await window.done.wait()
        cost.note(figures, f"{name}: the wire client alone, {WINDOW} in flight", len(sent))
        window.link = None
