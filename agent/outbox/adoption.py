"""Adopting feeds whose database is another than the one that they were prepared in.

After a restore rows and positions hold numbers of another cluster's transactions. What the restored positions know
as published is told by them once more, and then every row and position gets numbers of this cluster. All of it is
one transaction: it happens or it does not.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.config.sections.outbox import Outbox
from agent.outbox import identity, restamp
from agent.outbox.database import Connection, Database
from agent.outbox.feeds import Feed, feeds
from agent.outbox.leases import Ledger, Owner
from agent.outbox.names import identifier
from agent.outbox.restamp import Counts
from agent.outbox.sql.install import Say, briefly, locked
from agent.runtime.errors import Permanent

How = Literal["restored", "pg-upgraded"]
"""What happened to the database."""

_DOING = "adopting the outbox"
_LOOKS = 20
"""How often within a lease the beats of owners are looked at."""


@dataclass(frozen=True)
class Adopted:
    """What became of one feed."""

    feed: str
    how: How
    history: int
    """The first part of the events' ``sequence`` from now on."""
    published: int
    """Rows that the restored position knows as published: they are not published again."""
    unpublished: int
    """Rows that it does not: they are published now, though some may have been after the backup."""
    written: int
    """Rows written since the restore: they are published."""


class Adopter:
    """Adopts what needs it. ``clock`` returns seconds."""

    def __init__(
        self, database: Database, settings: Outbox, say: Say, patience: float, clock: Callable[[], float]
    ) -> None:
        """``say`` is told what is waited for; ``patience`` is how many seconds the tables' locks are tried for."""
        self._database = database
        self._settings = settings
        self._say = say
        self._patience = patience
        self._clock = clock

    async def adopt(self, how: How) -> list[Adopted]:
        """Adopt every feed of the settings that is foreign here. Raises Transient, and Permanent where there is none,
        where a relay works on one, or where ``how`` can't be true."""
        async with self._database.connection() as connection:
            adopted = await self._foreign(connection, how)
            seen = await self._watched(connection, adopted)
            done: list[Adopted] = []

            async def once() -> None:
                async with connection.transaction(_DOING):
                    done[:] = [await self._one(connection, feed, how, seen[feed.name]) for feed in adopted]

            tables = [feed.table for feed in adopted]
            await locked(connection, _DOING, tables, once, say=self._say, patience=self._patience)
        return done

    async def _foreign(self, connection: Connection, how: How) -> list[Feed]:
        homes = [
            (feed, await identity.look(connection, self._settings.schema, feed.name, _DOING))
            for feed in feeds(self._settings)
        ]
        foreign = [(feed, home) for feed, home in homes if home is not None and home.is_foreign]
        if not foreign:
            raise Permanent("nothing to adopt: every feed is in the database that it was prepared in")
        copied = [feed.name for feed, home in foreign if home.copied]
        if how == "pg-upgraded" and copied:
            raise Permanent(
                f"{', '.join(copied)}: the tables were restored from a dump, which pg_upgrade does not do; nothing "
                f"was changed; run {identity.RESTORED}"
            )
        return [feed for feed, _ in foreign]

    async def _owners(self, connection: Connection, adopted: Sequence[Feed]) -> dict[str, list[Owner]]:
        ledgers = {feed.name: Ledger(self._settings.schema, feed.name, self._clock) for feed in adopted}
        return {name: await ledger.owners(connection) for name, ledger in ledgers.items()}

    async def _watched(self, connection: Connection, adopted: Sequence[Feed]) -> dict[str, list[Owner]]:
        first = await self._owners(connection, adopted)
        who = sorted({owner.name for owners in first.values() for owner in owners if owner.name})
        ends = self._clock() + self._settings.lease
        if who:
            self._say(f"watching for {self._settings.lease:g} s whether {', '.join(who)} still relays")
        while who and self._clock() < ends:
            await asyncio.sleep(self._settings.lease / _LOOKS)
            self._same(first, await self._owners(connection, adopted))
        return first

    @staticmethod
    def _same(before: Mapping[str, list[Owner]], now: Mapping[str, list[Owner]]) -> None:
        for feed, owners in now.items():
            moved = [owner.name for owner in owners if owner.name and owner not in before[feed]]
            if moved:
                raise Permanent(
                    f"{_DOING} {feed}: it is being relayed, by {', '.join(moved)}: a relay works on it here; stop it, "
                    "then run this again; nothing was changed"
                )

    async def _one(self, connection: Connection, feed: Feed, how: How, seen: list[Owner]) -> Adopted:
        schema, doing = self._settings.schema, f"{_DOING} {feed.name}"
        await briefly(connection, doing)
        # No writer can be between its row and its commit, so a snapshot sees either all of a transaction or nothing.
        await connection.execute(doing, f"LOCK TABLE {feed.table.sql} IN SHARE ROW EXCLUSIVE MODE")
        await connection.execute(doing, "SET LOCAL lock_timeout = 0")
        home = await identity.look(connection, schema, feed.name, doing, lock=True)
        if home is None or not home.is_foreign:
            raise Permanent(f"{doing}: somebody else adopted it just now; nothing was changed")
        self._same({feed.name: seen}, await self._owners(connection, (feed,)))
        if how == "restored":
            counts = await restamp.restamp(connection, schema, feed, doing)
        else:
            await restamp.continues(connection, schema, feed, doing)
            counts = Counts(0, 0, 0, None)
        history = await self._record(connection, feed, home, counts, doing)
        return Adopted(feed.name, how, history, counts.published, counts.unpublished, counts.written)

    async def _record(
        self, connection: Connection, feed: Feed, home: identity.Home, counts: Counts, doing: str
    ) -> int:
        schema = identifier(self._settings.schema)
        await connection.execute(
            doing, f"UPDATE {schema}.bucket SET owner = NULL, epoch = epoch + 1 WHERE feed = $1", feed.name
        )
        await connection.execute(doing, f"DELETE FROM {schema}.relay WHERE feed = $1", feed.name)
        return int(
            await connection.value(
                doing,
                f"UPDATE {schema}.feed SET system_id = $2, timeline = $3, relation = tableoid, history = history + 1, "
                "adopted = CASE WHEN $4::int8 IS NULL THEN adopted ELSE adopted || $4::int8 END "
                "WHERE feed = $1 RETURNING history",
                feed.name,
                home.server.system,
                home.server.timeline,
                counts.last,
            )
        )
