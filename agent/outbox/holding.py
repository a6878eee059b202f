"""The buckets that a member works on: they come and go between two turns, and what is done of them is saved.

A turn and an exchange exclude each other, so nothing of a bucket is on its way when it is given up. So do a save and an
exchange, so no save is either. A bucket that was lost is no longer saved at once, and no longer read from the next turn
on: until then its messages may come twice, as after any take-over.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import structlog

from agent.outbox import shares
from agent.outbox.cursor import Place
from agent.outbox.database import Connection
from agent.outbox.leases import Claim, Exchanged, Ledger, LostError, Taken
from agent.outbox.shares import Watch
from agent.outbox.turns import Turns
from agent.runtime.errors import Transient

log = structlog.get_logger(__name__)


class Holding:
    """What one membership of a feed holds."""

    def __init__(
        self, claim: Claim, turns: Turns, ledger: Ledger, watch: Watch, lost: Callable[[], None]
    ) -> None:
        """``turns`` has the buckets of the claim. ``lost`` is told when buckets went to another relay unasked."""
        self._claim = claim
        self._turns = turns
        self._ledger = ledger
        self._watch = watch
        self._tell_lost = lost
        self._turning = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._gone: set[int] = set()
        self.losses = 0
        """How often buckets went to another relay unasked."""
        self._saved: dict[int, Place] = dict(claim.taken.places)
        self._doubtful = _doubtful(claim.taken)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The time of one turn."""
        async with self._turning:
            self._settle()
            yield

    async def save(self, connection: Connection) -> None:
        """Save what has moved. Raises Transient or Permanent."""
        async with self._saving:
            epochs = self._claim.epochs
            changed = {
                bucket: place
                for bucket, place in self._turns.places().items()
                if bucket in epochs and place != self._saved.get(bucket)
            }
            if not changed:
                return
            lost = await self._ledger.save(connection, self._claim, changed)
            self._saved.update(changed)
            self._lose(lost)

    async def look(self, connection: Connection) -> bool:
        """See what was lost; whether there is anything to exchange. Raises LostError where all is lost, Transient or
        Permanent."""
        view, living = await self._ledger.look(connection, self._watch)
        if self._claim.owner not in view.beats:
            raise LostError(f"{self._turns.feed}: another relay took this one for dead")
        self._lose(shares.lost(self._claim.epochs, view))
        movable = self._movable()
        return not shares.exchange(self._claim.owner, view, self._claim.epochs, living, movable).is_none

    async def exchange(self, connection: Connection) -> None:
        """Take or give up buckets as soon as the present turn is over. ``connection`` is that of the turns: nobody
        else needs it then. Raises LostError where all is lost, Transient or Permanent where the database is away."""
        async with self._turning:
            self._settle()
            async with self._saving:
                try:
                    done = await self._ledger.exchange(
                        connection, self._claim, self._watch, self._turns.places(), self._movable()
                    )
                except LostError:
                    raise
                except Transient as error:
                    if connection.is_closed:
                        raise
                    # It was rolled back: somebody else changes owners just now.
                    log.info("outbox.exchange_failed", feed=self._turns.feed, reason=str(error))
                    return
                self._apply(done)

    def _apply(self, done: Exchanged) -> None:
        for bucket in done.given:
            self._claim.epochs.pop(bucket, None)
        self._turns.drop(done.given)
        self._lose(done.lost)
        self._settle()
        taken = done.taken
        self._claim.epochs.update(taken.epochs)
        self._turns.take(taken.places, taken.suspicion)
        self._saved.update(taken.places)
        self._doubtful = {bucket: at for bucket, at in self._doubtful.items() if bucket not in taken.places}
        self._doubtful.update(_doubtful(taken))
        log.info(
            "outbox.exchanged",
            feed=self._turns.feed,
            taken=len(taken.epochs),
            given=len(done.given),
            buckets=len(self._claim.epochs),
        )

    def _lose(self, buckets: Collection[int]) -> None:
        lost = self._claim.epochs.keys() & set(buckets)
        if not lost:
            return
        for bucket in lost:
            del self._claim.epochs[bucket]
        self._gone |= lost
        self.losses += 1
        self._tell_lost()
        log.warning("outbox.lost", feed=self._turns.feed, buckets=len(lost), left=len(self._claim.epochs))

    def _settle(self) -> None:
        if self._gone:
            self._turns.drop(self._gone)
            self._gone.clear()

    def _movable(self) -> list[int]:
        # How often owners ended at a place is forgotten when it is given up: first somebody has to get past it.
        places = self._turns.cursor.places
        return [
            bucket
            for bucket in self._claim.epochs
            if bucket in places and places[bucket] != self._doubtful.get(bucket)
        ]


def _doubtful(taken: Taken) -> dict[int, Place]:
    return {bucket: taken.places[bucket] for bucket, count in taken.suspicion.unclean.items() if count}
