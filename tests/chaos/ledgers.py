"""What a run reads from its databases to judge by, without the relay's own SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.checker import Change
from tests.chaos.moves import Move, Moved, Place, check

FEEDS = {"aggregate": "pillion.outbox", "ob": "public.ob"}
"""The last word of a feed's topic, and the feed."""

TOKENS = {"aggregate": "t.payload::jsonb", "ob": "t.payload"}
"""Where a row's change is, by topic."""

WATCH = """
CREATE TABLE public.beaten (session text, id text, PRIMARY KEY (session, id));
CREATE TABLE public.moved (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session text, relay boolean, feed text, bucket smallint,
    owner_before text, epoch_before bigint, base_before text, target_before text, pos_before bigint,
    owner text, epoch bigint, base text, target text, pos bigint);
CREATE FUNCTION public.this_session() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('chaos.session', true), '') = '' THEN
        PERFORM set_config('chaos.session', gen_random_uuid()::text, false);
    END IF;
    RETURN current_setting('chaos.session');
END $$;
CREATE FUNCTION public.note_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.moved (session, relay, feed, bucket, owner_before, epoch_before, base_before, target_before,
        pos_before, owner, epoch, base, target, pos)
    VALUES (public.this_session(), current_setting('application_name') = 'pillion', NEW.feed, NEW.bucket, OLD.owner,
        OLD.epoch, OLD.base::text, OLD.target::text, OLD.pos, NEW.owner, NEW.epoch, NEW.base::text, NEW.target::text,
        NEW.pos);
    RETURN NULL;
END $$;
CREATE FUNCTION public.note_beat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.beaten VALUES (public.this_session(), NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER note_move AFTER UPDATE ON pillion.bucket FOR EACH ROW EXECUTE FUNCTION public.note_move();
CREATE TRIGGER note_beat AFTER INSERT OR UPDATE ON pillion.relay FOR EACH ROW EXECUTE FUNCTION public.note_beat();
"""
"""Triggers that keep a log of who moved which bucket; see ``moves``."""

_HISTORY = "SELECT history FROM pillion.feed WHERE feed = $1"
_OPEN = """
SELECT {token}->>'token' AS token FROM {table} t
JOIN pillion.bucket b ON b.feed = $1 AND b.bucket = get_byte(sha256(convert_to(t.key, 'UTF8')), 0) & 63
WHERE NOT pg_visible_in_snapshot(t.xid, b.base)
  AND NOT (b.target IS NOT NULL AND pg_visible_in_snapshot(t.xid, b.target) AND t.id <= b.pos)
UNION SELECT {token}->>'token' FROM {table} t JOIN pillion.held_row h ON h.feed = $1 AND h.row_id = t.id"""


@dataclass(frozen=True)
class Held:
    """A database as it is when no relay works on it."""

    journal: Mapping[str, Change]
    histories: Mapping[str, int]
    """By topic."""


async def journal(session: Any) -> dict[str, Change]:
    """Every change that was committed."""
    rows = await session.fetch("SELECT token, k, v FROM journal")
    return {row["token"]: Change(row["k"], row["v"]) for row in rows}


async def held(session: Any) -> Held:
    """What the database holds, and in which history its events were published."""
    histories = {topic: await session.fetchval(_HISTORY, feed) for topic, feed in FEEDS.items()}
    return Held(await journal(session), histories)


async def known(session: Any) -> dict[str, frozenset[str]]:
    """By topic the changes that the saved position knows as published. A row that is gone was cleaned up, so it was;
    one that is set aside was not."""
    all_ = frozenset(await journal(session))
    found = {}
    for topic, feed in FEEDS.items():
        # An event of a change carries it in what the row was changed to.
        token = f"coalesce(({TOKENS[topic]})->'after', {TOKENS[topic]})"
        rows = await session.fetch(_OPEN.format(table=feed, token=token), feed)
        found[topic] = all_ - {row["token"] for row in rows}
    return found


async def moved(session: Any) -> Moved:
    """What the log says of the positions."""
    rows = await session.fetch("SELECT * FROM public.moved ORDER BY seq")
    beats: dict[str, set[str]] = {}
    for row in await session.fetch("SELECT session, id FROM public.beaten"):
        beats.setdefault(row["session"], set()).add(row["id"])
    return check((_move(row) for row in rows), beats)


def _move(row: Mapping[str, Any]) -> Move:
    before = Place(
        row["owner_before"], row["epoch_before"], row["base_before"], row["target_before"], row["pos_before"]
    )
    after = Place(row["owner"], row["epoch"], row["base"], row["target"], row["pos"])
    return Move(row["session"], row["relay"], row["feed"], row["bucket"], before, after)
