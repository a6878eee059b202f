"""Who relays which buckets of a feed: join, beat, exchange, save and release, as statements. ``shares`` decides.

All that changes who has a bucket is done under the lock of the feed's row, but for a release at the end, and raises the
bucket's epoch. Whoever had it before can save nothing any more, and no two ever have one bucket at one epoch.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from agent.outbox import identity, shares
from agent.outbox.cursor import BUCKETS, Place
from agent.outbox.database import Connection
from agent.outbox.names import identifier
from agent.outbox.shares import Living, View, Watch
from agent.outbox.snapshot import Snapshot
from agent.outbox.suspicion import TRUSTING, Suspicion
from agent.runtime.errors import Permanent, Transient

MARGIN = 0.3
"""The part of a lease before whose end a relay stops itself."""

SUSPECTED = (
    "unclean = CASE WHEN owner IS NULL THEN 0 WHEN owner = $2 THEN unclean ELSE unclean + 1 END, "
    "suspect = CASE WHEN owner IS NULL THEN NULL WHEN owner = $2 THEN suspect ELSE attempting END, "
    "attempting = CASE WHEN owner IS NOT NULL AND attempting = suspect THEN attempting END"
)
"""What a claim by the owner $2 sets: a former owner that did not release ended without a word. ``attempting`` stays
only where two in a row ended at that row."""

_SAME = "b.base::text = v.base AND b.pos = v.pos"
TRUSTED = (
    f"unclean = CASE WHEN {_SAME} THEN b.unclean ELSE 0 END, attempting = CASE WHEN {_SAME} THEN b.attempting END, "
    f"suspect = CASE WHEN {_SAME} THEN b.suspect END"
)
"""What a save sets: an owner that gets on is no suspect."""

_GIVEN = ", owner = NULL, epoch = b.epoch + 1"
"""What a save sets too where the bucket is given up: nothing that is still on its way may count any more."""

LOOKS = 6
"""How often within a lease a member beats, and looks whether its share is right."""

BEAT = 2.0
"""Seconds between two beats at the most: while `outbox.lease` is being raised, others still judge by the lower one."""

LOCKED = 200
"""Milliseconds that a relay at work waits for another one's change of owners; it tries again soon."""

IDLE = 5000
"""Milliseconds that a relay may stand still within such a change; then the server ends its session."""


def beats_every(lease: float) -> float:
    """Seconds between two beats at a lease of so many."""
    return min(lease / LOOKS, BEAT)


class LostError(Transient):
    """The feed belongs to other relays now, or may by now."""


@dataclass(frozen=True)
class Owner:
    """One relay of a feed, as the database shows it; ``name`` None: nobody has these buckets."""

    name: str | None
    beat: int | None
    buckets: int


@dataclass(frozen=True)
class Taken:
    """Buckets that were taken, and where they stand."""

    epochs: Mapping[int, int]
    places: Mapping[int, Place]
    suspicion: Suspicion = TRUSTING
    """Where former owners ended without a word."""


@dataclass(frozen=True)
class Exchanged:
    """What an exchange did."""

    taken: Taken
    given: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    """What could not be given up, for it belongs to a later epoch."""


@dataclass(frozen=True)
class Claim:
    """A relay's membership of a feed. ``epochs`` changes: it holds the buckets that the relay has now."""

    owner: str
    epochs: dict[int, int]
    taken: Taken
    """What it had at first."""
    history: int
    sent: float
    """When the claim was sent, by the relay's own clock: from here on its lease counts."""
    adopted: tuple[int, ...]
    """See ``identity.Home``."""
    server: identity.Server
    """Where it was claimed; what is read elsewhere is not what the places are about."""


class Lease:
    """How long a relay may still publish. ``clock`` returns seconds and goes on while the host sleeps."""

    def __init__(self, length: float, clock: Callable[[], float], sent: float) -> None:
        self._clock = clock
        self._valid = length * (1 - MARGIN)
        self._until = sent + self._valid

    def renew(self, sent: float) -> None:
        """A beat that was sent then has arrived."""
        self._until = sent + self._valid

    @property
    def left(self) -> float:
        """Seconds left; nothing may be published when there are none."""
        return self._until - self._clock()


class Ledger:
    """Pillion's own tables of one feed. Every method raises Transient or Permanent."""

    def __init__(self, schema: str, feed: str, clock: Callable[[], float]) -> None:
        """``clock`` returns seconds and goes on while the host sleeps."""
        self._name = schema
        self._schema = identifier(schema)
        self._feed = feed
        self._clock = clock
        self._doing = f"claiming the outbox {feed}"

    async def home(self, connection: Connection, *, lock: bool = False) -> identity.Home | None:
        """Where the feed is, None where it is not prepared; raises ForeignError too."""
        home = await identity.look(connection, self._name, self._feed, self._doing, lock=lock)
        return identity.checked(home, self._doing) if home is not None else None

    async def view(self, connection: Connection) -> View:
        """Who relays the feed and who has which bucket, at one moment."""
        rows = await connection.fetch(
            self._doing,
            "SELECT bucket::int, owner, epoch, NULL::text AS id, NULL::int8 AS beat "
            f"FROM {self._schema}.bucket WHERE feed = $1 "
            f"UNION ALL SELECT NULL, NULL, NULL, id, beat FROM {self._schema}.relay WHERE feed = $1 ORDER BY 1",
            self._feed,
        )
        buckets = [row for row in rows if row["id"] is None]
        if len(buckets) != BUCKETS:
            raise Permanent(f"{self._doing}: it is not prepared; run `pillion outbox init`")
        return View(
            {row["id"]: row["beat"] for row in rows if row["id"] is not None},
            {row["bucket"]: row["owner"] for row in buckets},
            {row["bucket"]: row["epoch"] for row in buckets},
        )

    async def owners(self, connection: Connection) -> list[Owner]:
        """Who relays the feed now, also who has no bucket yet."""
        view = await self.view(connection)
        counts = Counter(view.owners.values())
        names = {*view.owners.values(), *view.beats}
        return [
            Owner(name, view.beats.get(name) if name is not None else None, counts[name])
            for name in sorted(names, key=lambda name: name or "")
        ]

    async def look(self, connection: Connection, watch: Watch) -> tuple[View, Living]:
        """The feed's view, and what ``watch`` makes of it."""
        asked = self._clock()
        view = await self.view(connection)
        return view, watch.look(view, asked)

    async def join(self, connection: Connection, owner: str, watch: Watch, most: int) -> Claim | None:
        """Become one of ``most`` members and take a share of what is free; None where there is no room."""
        sent = self._clock()
        async with connection.transaction(self._doing):
            await self._hurry(connection)
            home = await self.home(connection, lock=True)
            if home is None:
                return None
            view, living = await self._buried(connection, owner, watch)
            if not shares.has_room(owner, living, most):
                return None
            history = await self._arrive(connection, home)
            await connection.execute(
                self._doing,
                f"INSERT INTO {self._schema}.relay (feed, id, beat) VALUES ($1, $2, $3) "
                "ON CONFLICT (feed, id) DO UPDATE SET beat = relay.beat + 1",
                self._feed,
                owner,
                # Who comes again under its name must not have the beat that it was taken for dead at.
                secrets.randbits(40),
            )
            wish = shares.exchange(owner, view, {}, living, ())
            taken = await self._take(connection, owner, view, living, wish.take)
        return Claim(owner, dict(taken.epochs), taken, history, sent, home.adopted, home.server)

    async def exchange(
        self,
        connection: Connection,
        claim: Claim,
        watch: Watch,
        places: Mapping[int, Place],
        movable: Collection[int],
    ) -> Exchanged:
        """Take what a member lacks of its share, or give up what others lack of theirs, as the feed is now.

        ``places`` are where its buckets stand, with nothing of them on its way; they are saved with what is given up.
        Raises LostError where it is a member no more, or the database is another one now.
        """
        async with connection.transaction(self._doing):
            await self._hurry(connection, f"SET LOCAL lock_timeout = {LOCKED}; ")
            home = await self.home(connection, lock=True)
            if home is None or (home.server, home.history) != (claim.server, claim.history):
                raise LostError(f"{self._doing}: the database is another one now; it is claimed again")
            view, living = await self._buried(connection, claim.owner, watch)
            if claim.owner not in view.beats:
                raise LostError(self._taken_over)
            wish = shares.exchange(claim.owner, view, claim.epochs, living, movable)
            taken = await self._take(connection, claim.owner, view, living, wish.take)
            given = await self._save(connection, claim, {each: places[each] for each in wish.give}, _GIVEN)
        if living.forgotten & taken.epochs.keys():
            watch.doubt()
        return Exchanged(taken, given, frozenset(wish.give) - given)

    async def _hurry(self, connection: Connection, more: str = "") -> None:
        # Changes are made one at a time: of two that see the same dead owner the second sees the first. So who stands
        # still within one must not hold up the others for long.
        await connection.execute(self._doing, f"{more}SET LOCAL idle_in_transaction_session_timeout = {IDLE}")

    async def _buried(self, connection: Connection, me: str, watch: Watch) -> tuple[View, Living]:
        """The view, without members that are dead; from here on they can't come back to life unseen."""
        view, living = await self.look(connection, watch)
        dead = [name for name in view.beats if name not in living.alive and name != me]
        if not dead:
            return view, living
        beats = [None if watch.is_former(name) else view.beats[name] for name in dead]
        rows = await connection.fetch(
            self._doing,
            f"DELETE FROM {self._schema}.relay r USING unnest($2::text[], $3::int8[]) AS d (id, beat) "
            "WHERE r.feed = $1 AND r.id = d.id AND (d.beat IS NULL OR r.beat = d.beat) RETURNING r.id",
            self._feed,
            dead,
            beats,
        )
        revived = {*dead} - {row["id"] for row in rows}
        return view, Living(living.alive | revived, living.settled, living.forgotten)

    async def _arrive(self, connection: Connection, home: identity.Home) -> int:
        if home.timeline == home.server.timeline:
            return home.history
        # A failover may have lost the last commits, though they were published: their numbers come again.
        history = home.history + home.is_successor
        await connection.execute(
            self._doing,
            f"UPDATE {self._schema}.feed SET timeline = $2, history = $3 WHERE feed = $1",
            self._feed,
            home.server.timeline,
            history,
        )
        return history

    async def _take(
        self, connection: Connection, owner: str, view: View, living: Living, buckets: Collection[int]
    ) -> Taken:
        if not buckets:
            return Taken({}, {})
        gone = {name for name in view.owners.values() if name is not None and name not in living.alive} | {
            owner
        }
        rows = await connection.fetch(
            self._doing,
            f"UPDATE {self._schema}.bucket SET owner = $2, epoch = epoch + 1, {SUSPECTED} WHERE feed = $1 "
            "AND bucket = ANY($3::int2[]) AND (owner IS NULL OR owner = ANY($4::text[])) "
            "RETURNING bucket, epoch, base::text, target::text, pos, unclean, attempting",
            self._feed,
            owner,
            sorted(buckets),
            sorted(gone),
        )
        return Taken(
            {row["bucket"]: row["epoch"] for row in rows},
            {row["bucket"]: _place(row["base"], row["target"], row["pos"]) for row in rows},
            Suspicion(
                {row["bucket"]: row["unclean"] for row in rows},
                {row["bucket"]: row["attempting"] for row in rows if row["attempting"] is not None},
            ),
        )

    async def beat(self, connection: Connection, claim: Claim) -> None:
        """Show that the member is alive; raises LostError when it is none any more."""
        rows = await connection.fetch(
            f"beating for the outbox {self._feed}",
            f"UPDATE {self._schema}.relay SET beat = beat + 1 WHERE feed = $1 AND id = $2 RETURNING id",
            self._feed,
            claim.owner,
        )
        if not rows:
            raise LostError(self._taken_over)

    async def save(self, connection: Connection, claim: Claim, places: Mapping[int, Place]) -> frozenset[int]:
        """Keep the places; which of the buckets were not saved, for they belong to a later epoch."""
        return frozenset(places) - await self._save(connection, claim, places, "")

    async def _save(
        self, connection: Connection, claim: Claim, places: Mapping[int, Place], more: str
    ) -> frozenset[int]:
        if not places:
            return frozenset()
        rows = [
            # What was lost meanwhile has no epoch, and none is below 0.
            (
                bucket,
                claim.epochs.get(bucket, -1),
                str(each.base),
                str(each.target) if each.target else None,
                each.pos,
            )
            for bucket, each in sorted(places.items())
        ]
        saved = await connection.fetch(
            f"saving the position of the outbox {self._feed}",
            f"UPDATE {self._schema}.bucket AS b SET base = v.base::pg_snapshot, target = "
            f"v.target::pg_snapshot, pos = v.pos, {TRUSTED}{more} "
            "FROM unnest($2::int2[], $3::int8[], $4::text[], $5::text[], $6::int8[]) AS v (bucket, "
            "epoch, base, target, pos) "
            "WHERE b.feed = $1 AND b.bucket = v.bucket AND b.epoch = v.epoch RETURNING b.bucket",
            self._feed,
            *map(list, itertools.zip_longest(*rows)),
        )
        return frozenset(row["bucket"] for row in saved)

    async def release(self, connection: Connection, claim: Claim) -> None:
        """Give all back, so that the next need not wait for the lease."""
        # At once: who sees a member without buckets leaves a share for it, and who sees buckets without their member
        # takes that for dead. The member goes first, as where others bury it: two that lock the same rows in other
        # orders would wait for each other.
        await connection.execute(
            f"releasing the outbox {self._feed}",
            f"WITH gone AS (DELETE FROM {self._schema}.relay WHERE feed = $1 AND id = $2 RETURNING id) "
            f"UPDATE {self._schema}.bucket SET owner = NULL, epoch = epoch + 1 WHERE feed = $1 AND owner = $2 "
            "AND (SELECT count(*) FROM gone) >= 0",
            self._feed,
            claim.owner,
        )

    @property
    def _taken_over(self) -> str:
        return f"the outbox {self._feed} was taken over by another relay"


def _place(base: str, target: str | None, pos: int) -> Place:
    return Place(Snapshot.parse(base), Snapshot.parse(target) if target else None, pos)
