"""Sending again what is set aside: by itself where a key is held, and where a person said so.

A key's rows go in the order in which they were set aside, one in flight, and each is deleted after its acknowledgement.
New rows of the key are appended behind them until there are none; then the key is free.

Before anything is sent the keys' ``tries`` rise durably, and they fall when the batch has an end, whatever it is. A key
whose row ends the process is thus sent alone the second time, and parked after the third: a replay can't end the
relay for ever. Where a batch had no end because the database or the ownership went, the process lives and takes its
notes back as soon as it can.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from agent.outbox import events
from agent.outbox.brokers import Link
from agent.outbox.courier import AwayError, Courier
from agent.outbox.database import Row
from agent.outbox.delivery import Delivery, Rules
from agent.outbox.events import Event, Maker, RefusedError
from agent.outbox.parked import keys
from agent.outbox.parked.ledger import Due, HeldRow, Outcome
from agent.outbox.parked.shelf import FIRST_WAIT, POISON, Shelf
from agent.outbox.reader import Reader
from agent.outbox.suspicion import DEATHS

log = structlog.get_logger(__name__)

LOOK = 1.0
"""Seconds between two looks for keys that a person wants to be sent or whose time has come."""

LAST_WAIT = 300.0
"""Seconds between two tries of a held key at the most."""

SHARE = 20
"""Trying held keys may take one part in so many of the time: an answer that does not come is waited for."""

GONE = "its row is gone from its table; discard it"


class Replay:
    """Replays for one owner. ``clock`` returns seconds."""

    def __init__(
        self,
        shelf: Shelf,
        reader: Reader,
        maker: Maker,
        clock: Callable[[], float],
        size: int,
        *,
        noted: Counter[str],
    ) -> None:
        """``size`` is the most rows of a batch. ``noted`` are this process's notes without an end, by key; it outlives
        the ownership."""
        self._shelf = shelf
        self._reader = reader
        self._maker = maker
        self._clock = clock
        self._size = size
        self._noted = noted
        self._next = 0.0
        self._next_held = 0.0

    async def step(self, courier: Courier, link: Link) -> Delivery | None:
        """Send one batch if there is anything to be sent; what became of it. Raises what a turn raises."""
        now = self._clock()
        if not self._shelf.keys or now < self._next:
            return None
        self._next = now + LOOK
        if self._noted:
            await self._shelf.ledger.take_back(self._noted)
            self._noted.clear()
        due = await self._shelf.ledger.due(self._shelf.buckets, held=now >= self._next_held)
        lot, poison = chosen(due)
        if poison:
            outcomes = [Outcome(each.id, each.bucket, "parked", POISON, None) for each in poison]
            await self._shelf.ledger.settle(poison, (), outcomes)
        if not lot:
            return None
        delivery = await self._send(lot, courier, link)
        if any(each.state == "held" for each in lot):
            self._next_held = self._clock() + SHARE * (self._clock() - now)
        if delivery.acknowledged:
            self._next = 0.0
        return delivery

    async def _send(self, lot: Sequence[Due], courier: Courier, link: Link) -> Delivery:
        self._noted.update(each.id for each in lot)
        delivery, rows = await self._delivery(await self._shelf.ledger.begin(lot, self._size))
        try:
            await courier.carry(delivery, link)
        except AwayError:
            # That is nobody's fault here: what was acknowledged is taken out, the rest is as it was.
            await self._settle(lot, rows, delivery, again=False)
            raise
        await self._settle(lot, rows, delivery, again=True)
        return delivery

    async def _delivery(self, rows: Sequence[HeldRow]) -> tuple[Delivery, Sequence[HeldRow]]:
        found = await self._reader.named([each.row for each in rows])
        made: list[Event] = []
        unfit: dict[int, RefusedError] = {}
        for number, (row, held) in enumerate(zip(found, rows, strict=False)):
            try:
                made.append(self._made(row))
            except RefusedError as error:
                unfit[number] = RefusedError(f"row {held.row}: {error}")
                made.append(events.blank(row, held.row))
        rules = Rules("park", unfit, ripe=lambda _event, _alone: True)
        # A row that the service changed meanwhile may have another key now; it goes where it was put.
        names = [keys.line(each.key, event) for each, event in zip(rows, made, strict=False)]
        return Delivery(made, rules, names), rows[: len(made)]

    def _made(self, row: Row) -> Event:
        if row["id"] is None:
            raise RefusedError(GONE)
        return self._maker.event(row)

    async def _settle(
        self, lot: Sequence[Due], rows: Sequence[HeldRow], delivery: Delivery, *, again: bool
    ) -> None:
        done = [rows[number] for number in delivery.done]
        outcomes = _outcomes(lot, rows, delivery) if again else []
        await self._shelf.ledger.settle(lot, [each.seq for each in done], outcomes)
        self._noted.clear()
        freed = await self._shelf.ledger.free(lot)
        self._shelf.sent(freed, Counter(each.key for each in done))
        for each in outcomes:
            log.warning(
                "outbox.replay_failed", feed=self._maker.feed.name, state=each.state, reason=each.reason
            )
        if freed:
            log.info("outbox.freed", feed=self._maker.feed.name, keys=len(freed))
            await self._shelf.recount()


def chosen(due: Sequence[Due]) -> tuple[list[Due], list[Due]]:
    """What is sent now, and what is parked because the process ended each time that it was sent."""
    poison = [each for each in due if each.tries >= DEATHS]
    rest = [each for each in due if each.tries < DEATHS]
    # One of several ended the process, perhaps: the others must not be taken for it.
    suspects = [each for each in rest if each.tries]
    return (suspects[:1] or rest), poison


def wait(attempts: int, asked: float, spread: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds until a held key that failed so often before is tried again; never below what the broker asked for."""
    longest = min(FIRST_WAIT * 2 ** min(attempts + 1, 16), LAST_WAIT)
    return max(spread(longest / 2, longest), asked)


def _outcomes(lot: Sequence[Due], rows: Sequence[HeldRow], delivery: Delivery) -> list[Outcome]:
    due = {each.id: each for each in lot}
    found: dict[str, Outcome] = {}
    for aside in delivery.aside():
        each = due[rows[aside.number].key]
        if each.id in found:
            continue
        if aside.verdict == "held":
            pause = wait(each.attempts, aside.delay)
            found[each.id] = Outcome(each.id, each.bucket, "held", aside.reason, pause)
        else:
            found[each.id] = Outcome(each.id, each.bucket, "parked", aside.reason, None)
    return list(found.values())
