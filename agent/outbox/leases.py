"""Who relays a feed: claim, beat and release. No clock of the database or of another host is ever compared.

A relay is alive while its beat moves. Who sees the same beat for the length of a lease, on its own clock,
may take over; the epoch rises, so that the former owner can save nothing any more.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.outbox import identity
from agent.outbox.cursor import BUCKETS, Place
from agent.outbox.database import Connection, Row
from agent.outbox.names import identifier
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


class LostError(Transient):
    """The feed belongs to another relay now, or may by now."""


@dataclass(frozen=True)
class Owner:
    """One owner of buckets, as the database shows it; ``name`` None: nobody."""

    name: str | None
    beat: int | None
    buckets: int


@dataclass(frozen=True)
class Claim:
    """What a relay owns."""

    owner: str
    epochs: Mapping[int, int]
    places: Mapping[int, Place]
    history: int
    sent: float
    """When the claim was sent, by the relay's own clock: from here on its lease counts."""
    adopted: tuple[int, ...]
    """See ``identity.Home``."""
    server: identity.Server
    """Where it was claimed; what is read elsewhere is not what the places are about."""
    suspicion: Suspicion = TRUSTING
    """Where former owners ended without a word."""


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


class Watch:
    """What a standby remembers of the owners' beats."""

    def __init__(self, lease: float, clock: Callable[[], float], former: Callable[[str], bool]) -> None:
        """``former`` tells an owner that is surely dead, such as this agent's own former process."""
        self._lease = lease
        self._clock = clock
        self._former = former
        self._seen: dict[str, tuple[int | None, float]] = {}

    def is_gone(self, owner: Owner) -> bool:
        """Whether the owner may be taken for dead now."""
        if owner.name is None or self._former(owner.name):
            return True
        now = self._clock()
        beat, since = self._seen.get(owner.name, (None, now))
        if owner.name not in self._seen or beat != owner.beat:
            self._seen[owner.name] = (owner.beat, now)
            return False
        return now - since >= self._lease


class Ledger:
    """Pillion's own tables of one feed. Every method raises Transient or Permanent."""

    def __init__(self, schema: str, feed: str) -> None:
        self._name = schema
        self._schema = identifier(schema)
        self._feed = feed
        self._doing = f"claiming the outbox {feed}"

    async def home(self, connection: Connection, *, lock: bool = False) -> identity.Home | None:
        """Where the feed is, None where it is not prepared; raises ForeignError too."""
        home = await identity.look(connection, self._name, self._feed, self._doing, lock=lock)
        return identity.checked(home, self._doing) if home is not None else None

    async def owners(self, connection: Connection) -> list[Owner]:
        """Who owns the feed's buckets now."""
        rows = await connection.fetch(
            self._doing,
            f"SELECT b.owner, r.beat, count(*)::int AS buckets FROM {self._schema}.bucket b "
            f"LEFT JOIN {self._schema}.relay r ON r.feed = b.feed AND r.id = b.owner "
            "WHERE b.feed = $1 GROUP BY b.owner, r.beat",
            self._feed,
        )
        if sum(row["buckets"] for row in rows) != BUCKETS:
            raise Permanent(f"{self._doing}: it is not prepared; run `pillion outbox init`")
        return [Owner(row["owner"], row["beat"], row["buckets"]) for row in rows]

    async def claim(
        self, connection: Connection, owner: str, watch: Watch, clock: Callable[[], float]
    ) -> Claim | None:
        """Take the feed if everyone who has it is gone, else None."""
        sent = clock()
        async with connection.transaction(self._doing):
            # One at a time: of two that see the same dead owner the second sees the first.
            home = await self.home(connection, lock=True)
            owners = await self.owners(connection)
            if home is None or not all(watch.is_gone(each) for each in owners):
                return None
            history = await self._arrive(connection, home)
            rows = await self._take(connection, owner, [each.name for each in owners if each.name])
        return Claim(
            owner,
            {row["bucket"]: row["epoch"] for row in rows},
            {row["bucket"]: _place(row["base"], row["target"], row["pos"]) for row in rows},
            history,
            sent,
            home.adopted,
            home.server,
            Suspicion(
                {row["bucket"]: row["unclean"] for row in rows},
                {row["bucket"]: row["attempting"] for row in rows if row["attempting"] is not None},
            ),
        )

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

    async def _take(self, connection: Connection, owner: str, dead: list[str]) -> list[Row]:
        schema = self._schema
        await connection.execute(
            self._doing,
            f"DELETE FROM {schema}.relay WHERE feed = $1 AND id = ANY($2::text[])",
            self._feed,
            dead,
        )
        await connection.execute(
            self._doing,
            f"INSERT INTO {schema}.relay (feed, id) VALUES ($1, $2) ON CONFLICT (feed, id) DO UPDATE "
            f"SET beat = relay.beat + 1",
            self._feed,
            owner,
        )
        return await connection.fetch(
            self._doing,
            f"UPDATE {schema}.bucket SET owner = $2, epoch = epoch + 1, {SUSPECTED} WHERE feed = $1 "
            "RETURNING bucket, epoch, base::text, target::text, pos, unclean, attempting",
            self._feed,
            owner,
        )

    async def beat(self, connection: Connection, claim: Claim) -> None:
        """Show that the owner is alive; raises LostError when it is the owner no more."""
        rows = await connection.fetch(
            f"beating for the outbox {self._feed}",
            f"UPDATE {self._schema}.relay SET beat = beat + 1 WHERE feed = $1 AND id = $2 "
            f"RETURNING (SELECT count(*) FROM {self._schema}.bucket WHERE feed = $1 AND owner = $2) AS owned",
            self._feed,
            claim.owner,
        )
        if not rows or rows[0]["owned"] != len(claim.epochs):
            raise LostError(f"the outbox {self._feed} was taken over by another relay")

    async def save(self, connection: Connection, claim: Claim, places: Mapping[int, Place]) -> None:
        """Keep the places; raises LostError when a bucket belongs to a later epoch."""
        rows = [
            (
                bucket,
                claim.epochs[bucket],
                str(place.base),
                str(place.target) if place.target else None,
                place.pos,
            )
            for bucket, place in places.items()
        ]
        saved = await connection.fetch(
            f"saving the position of the outbox {self._feed}",
            f"UPDATE {self._schema}.bucket AS b SET base = v.base::pg_snapshot, target = "
            f"v.target::pg_snapshot, pos = v.pos, {TRUSTED} "
            "FROM unnest($2::int2[], $3::int8[], $4::text[], $5::text[], $6::int8[]) AS v (bucket, "
            "epoch, base, target, pos) "
            "WHERE b.feed = $1 AND b.bucket = v.bucket AND b.epoch = v.epoch RETURNING b.bucket",
            self._feed,
            *map(list, itertools.zip_longest(*rows)),
        )
        if len(saved) != len(rows):
            raise LostError(f"the outbox {self._feed} was taken over by another relay")

    async def release(self, connection: Connection, claim: Claim) -> None:
        """Give the feed back, so that the next need not wait for the lease."""
        await connection.execute(
            f"releasing the outbox {self._feed}",
            f"UPDATE {self._schema}.bucket SET owner = NULL WHERE feed = $1 AND owner = $2",
            self._feed,
            claim.owner,
        )
        await connection.execute(
            f"releasing the outbox {self._feed}",
            f"DELETE FROM {self._schema}.relay WHERE feed = $1 AND id = $2",
            self._feed,
            claim.owner,
        )


def _place(base: str, target: str | None, pos: int) -> Place:
    return Place(Snapshot.parse(base), Snapshot.parse(target) if target else None, pos)
