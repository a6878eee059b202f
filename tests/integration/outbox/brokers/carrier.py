"""Carries events as a relay's session does: one in flight a key, again over a new link after each loss."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from agent.outbox.brokers import Broker, Link
from agent.outbox.courier import AwayError, Courier
from agent.outbox.delivery import Delivery, Rules
from agent.outbox.events import Event
from agent.outbox.leases import Lease
from agent.runtime.errors import PillionError, Transient
from tests.integration.outbox.brokers.rig import UNHURRIED, Stored
from tests.waiting import until

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def events(place: str, count: int, keys: int = 1, size: int = 300, first: int = 1) -> list[Event]:
    """Events of the topic ``<place>.orders`` in turns of the keys, rows from ``first`` on."""
    return [
        Event(
            row=row, bucket=row % keys, key=f"k{row % keys}", topic=f"{place}.orders", id=f"{place}-{row}",
            source="/shop", type="orders.created", time="2026-01-02T03:04:05Z", content="application/json",
            traceparent="", tracestate="", sequence=f"{1:06d}-{row:020d}",
            body=f'{{"row": {row}}}'.encode().ljust(size), feed="public.orders",
        )
        for row in range(first, first + count)
    ]  # fmt: skip


class Counting(Courier):
    """A courier that tells of each acknowledgement, and waits for none longer than ``timeout`` in seconds."""

    def __init__(self, told: Callable[[], None], timeout: float = UNHURRIED) -> None:
        super().__init__(Lease(3600, time.monotonic, time.monotonic()), timeout, None, "test", time.monotonic)
        self._told = told

    def acknowledged(self, number: int) -> None:
        super().acknowledged(number)
        self._told()


class Carrier:
    """``brokers``: the first until the fault, the last for all links after it."""

    patient = False
    """Whether what was not taken just now is sent again, as a relay does; else it counts as refused."""

    def __init__(
        self,
        *brokers: Broker,
        topics: frozenset[str],
        at: tuple[int, Callable[[], object]] = (0, int),
        lost: Callable[[], object] = int,
        timeout: float = UNHURRIED,
    ) -> None:
        """``at`` is a count of acknowledgements and the fault that then happens at once, while others are in
        flight; ``lost`` happens after each link over which something was left; ``timeout`` in seconds for an
        acknowledgement."""
        self.losses: list[str] = []
        self.refused: dict[int, str] = {}
        """Reasons by row."""
        self.told = 0
        self.rounds = 0
        """Over how many links something was left: those that were lost, and those over which nobody took the rest."""
        self.reasons: set[str] = set()
        """Why events were not taken, refused ones and others."""
        self._brokers = brokers
        self._topics = topics
        self._at = at
        self._lost = lost
        self._timeout = timeout

    def outcomes(self) -> Counting:
        """What a link of one's own may tell."""
        return Counting(self._acknowledged, self._timeout)

    def _acknowledged(self) -> None:
        self.told += 1
        if self.told == self._at[0]:
            self._at[1]()

    async def carry(self, events: Sequence[Event], within: float = 120.0) -> None:
        """Until each event is acknowledged or refused. Behind a refused one nothing of its bucket goes out,
        as in a relay's page, and it is sent after it: as after ``skip``."""
        async with asyncio.timeout(within):
            while events:
                broker = self._brokers[-1 if self.told >= self._at[0] else 0]
                delivery = Delivery(events)
                try:
                    courier = self.outcomes()
                    async with broker.link(courier, self._topics) as link:
                        await courier.carry(delivery, link)
                except PillionError as error:
                    self.losses.append(str(error))
                events = self._rest(events, delivery)
                if events:
                    self.rounds += 1
                    self._lost()
                    await asyncio.sleep(0.1)

    async def verdict(self, event: Event) -> str:
        """What becomes of an event that is carried alone, where refused ones are left out."""
        delivery = Delivery([event], Rules("skip"))
        courier = self.outcomes()
        with suppress(AwayError):
            async with self._brokers[-1].link(courier, self._topics) as link:
                await courier.carry(delivery, link)
        return "".join(each.verdict for each in delivery.aside())

    def _rest(self, events: Sequence[Event], delivery: Delivery) -> list[Event]:
        self.reasons.update(delivery.reasons.values())
        later = {events[number].row for number in delivery.failed} if self.patient else set()
        lowest = delivery.unfinished()
        refused = {bucket: lowest[bucket] for bucket in delivery.reasons if lowest[bucket] not in later}
        for bucket, row in refused.items():
            self.refused[row] = delivery.reasons[bucket]
        return [
            each
            for each in events
            if each.row in later
            or (each.row >= lowest.get(each.bucket, each.row + 1) and refused.get(each.bucket) != each.row)
        ]


class Patient(Carrier):
    """One that sends again what was not taken just now: a server that comes and goes may not know where to put it."""

    patient = True


@asynccontextmanager
async def linked(
    broker: Broker, topics: frozenset[str], outcomes: Courier | None = None
) -> AsyncIterator[Link]:
    """A link for the body; a server that just started may not give one at once."""
    async with AsyncExitStack() as stack:

        async def had() -> Link:
            try:
                return await stack.enter_async_context(
                    broker.link(outcomes or Counting(lambda: None), topics)
                )
            except Transient as error:
                raise AssertionError(str(error)) from error

        yield await until(had, within=60, every=0.1)


@asynccontextmanager
async def carrying(carrier: Carrier, events: Sequence[Event], within: float = 120.0) -> AsyncIterator[None]:
    """Carry beside the body, and to the end after it; where the body fails it is given up."""
    task = asyncio.create_task(carrier.carry(events, within))
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


def check(sent: Sequence[Event], stored: Sequence[Stored], duplicates: int) -> None:
    """Each event is there, nothing else is, the first occurrences of each key are in order, and at most so
    many came twice."""
    assert {each.attributes["id"] for each in stored} == {each.id for each in sent}
    rows = {each.id: each.row for each in sent}
    seen: dict[str, list[int]] = {}
    for each in stored:
        line = seen.setdefault(each.attributes["partitionkey"], [])
        if rows[each.attributes["id"]] not in line:
            line.append(rows[each.attributes["id"]])
    for key, line in seen.items():
        assert line == sorted(line), f"the order of {key} is broken"
    assert len(stored) - len(sent) <= duplicates
