"""What the database alone tells of all feeds: for ``pillion outbox status``, where no agent need run."""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

import asyncio
import time
from dataclasses import dataclass

from agent.config.sections.outbox import Outbox
from agent.outbox import identity, shape
from agent.outbox.database import Connection, UnreadableError
from agent.outbox.feeds import Feed, feeds
from agent.outbox.names import identifier
from agent.outbox.roster import Share, roster
from agent.outbox.shape import Shape
from agent.outbox.snapshot import Snapshot
from agent.runtime.errors import Permanent

_NEW = "xid >= $2::text::xid8 OR xid = ANY($3::text[]::xid8[])"

MOST = 10000
"""Unsent rows are counted up to here: counting all of a long backlog would read it all."""


@dataclass(frozen=True)
class Survey:
    """One feed as its tables show it."""

    feed: str
    owner: str
    """Who relays it; empty: nobody."""
    buckets: int
    unsent: int
    """Rows behind the saved position, at most MOST + 1. What is on its way just now counts as unsent."""
    oldest: float | None
    """Seconds since the oldest of them was written; None where there are none or the table does not say."""
    problem: str = ""
    """Why nothing can be said, as a sentence."""
    held: int = 0
    """Keys that are set aside and tried again by themselves."""
    parked: int = 0
    """Keys that are set aside and wait for a person."""
    replaying: int = 0
    """Keys that are being sent again."""
    held_rows: int = 0
    """Rows of all these keys; they are not among the unsent."""
    orphaned: int = 0
    """Buckets that nobody works on just now."""
    shares: tuple[Share, ...] = ()
    """Who has how many of the feed's buckets."""


async def survey(connection: Connection, settings: Outbox) -> list[Survey]:
    """All feeds of the settings; raises Transient or Permanent where nothing at all can be said."""
    return [await _feed(connection, settings, feed) for feed in feeds(settings)]


async def _feed(connection: Connection, settings: Outbox, feed: Feed) -> Survey:
    doing = f"looking at the outbox {feed.name}"
    try:
        home = await identity.look(connection, settings.schema, feed.name, doing)
        if home is not None:
            identity.checked(home, doing)
        rows = await connection.fetch(
            doing,
            "SELECT bucket, owner, base::text, target::text, pos "
            f"FROM {identifier(settings.schema)}.bucket WHERE feed = $1",
            feed.name,
        )
        table = await shape.look(connection, feed)
    except Permanent as error:
        return Survey(feed.name, "", 0, 0, None, str(error))
    if not rows:
        problem = f"{doing}: it is not prepared; run `pillion outbox init`"
        return Survey(feed.name, "", 0, 0, None, problem)
    shares = await roster(
        connection, settings.schema, feed.name, settings.lease, clock=time.monotonic, rest=asyncio.sleep
    )
    oldest = min((Snapshot.parse(row["base"]) for row in rows), key=lambda base: base.age)
    schema = identifier(settings.schema)
    try:
        unsent, age = await _unsent(connection, settings, feed, oldest, table)
    except UnreadableError:
        # The key of some row: all that the bucket that stands furthest back has not is more than is unsent.
        unsent, age = await _unsent(connection, settings, feed, oldest, None)
    owners = sorted({row["owner"] for row in rows if row["owner"]})
    (aside,) = await connection.fetch(
        doing,
        f"SELECT count(*) FILTER (WHERE state = 'held')::int AS held, count(*) FILTER (WHERE state = 'parked')::int "
        "AS parked, count(*) FILTER (WHERE state = 'replaying')::int AS replaying, "
        f"(SELECT count(*) FROM {schema}.held_row WHERE feed = $1)::int AS held_rows "
        f"FROM {schema}.held_key WHERE feed = $1",
        feed.name,
    )
    return Survey(
        feed.name, ", ".join(owners), len(rows), unsent, age, **aside,
        orphaned=sum(each.orphaned for each in shares), shares=shares,
    )  # fmt: skip


async def _unsent(
    connection: Connection, settings: Outbox, feed: Feed, oldest: Snapshot, table: Shape | None
) -> tuple[int, float | None]:
    """How many rows, and how old the oldest is in seconds; ``table`` None: as the bucket sees it that stands furthest
    back."""
    saved = (
        f"(SELECT *, {table.bucket} AS pillion_bucket FROM {feed.table.sql} WHERE {_NEW}) t "
        f"JOIN {identifier(settings.schema)}.bucket p ON p.feed = $1 AND p.bucket = t.pillion_bucket "
        "WHERE NOT pg_visible_in_snapshot(t.xid, p.base) AND NOT (p.target IS NOT NULL "
        f"AND pg_visible_in_snapshot(t.xid, p.target) AND t.{table.id} <= p.pos)"
        if table is not None
        else f"{feed.table.sql} t WHERE ({_NEW}) AND $1::text IS NOT NULL"
    )
    (found,) = await connection.fetch(
        f"looking at the outbox {feed.name}",
        f"SELECT count(*)::int AS unsent, {_age(feed)} AS oldest FROM (SELECT t.* FROM {saved} "
        f"LIMIT {MOST + 1}) AS unsent",
        feed.name,
        str(oldest.xmax),
        [str(xid) for xid in oldest.xip],
    )
    return found["unsent"], found["oldest"]


def _age(feed: Feed) -> str:
    return "extract(epoch FROM now() - min(created))::float8" if feed.own else "NULL::float8"
