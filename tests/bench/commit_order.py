"""What `order: commit` takes of a service's transactions: one event and one update each, numbered as the row is
written, at the commit, and at the commit behind a lock of the key, which Pillion does not take.

Run as `make bench-commit-order`; SECONDS is how long each is looked at in a round (5), ROUNDS how often (5), CLIENTS
how many write at once (16), KEYS how many keys they share (250). The kinds take turns within a round.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from agent.config.sections.outbox import Outbox, Table
from agent.demo import backing
from agent.outbox.database import Database
from agent.outbox.sql.install import SESSION, Installer
from tests.bench.capture import children, compared, used
from tests.waiting import until

KINDS = ("statement", "commit", "locked")
AGGREGATES = 10000

TABLES = """
CREATE TABLE {kind} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), key text, type text, payload jsonb);
CREATE TABLE aggregate_{kind} (id int PRIMARY KEY, version int NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO aggregate_{kind} SELECT n FROM generate_series(1, {rows}) AS n"""

# It runs before ours, whose name comes later.
LOCK = """
CREATE FUNCTION locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(hashtextextended(NEW.key, 0)); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER "!a" AFTER INSERT ON locked DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION locks()"""

SCRIPT = """\\set n random(1, {rows})
\\set k random(1, {keys})
BEGIN;
INSERT INTO {kind} (key, type, payload) VALUES (:k, 'changed', '{{"note": "{filler}"}}');
UPDATE aggregate_{kind} SET version = version + 1 WHERE id = :n;
COMMIT;
"""


@dataclass(frozen=True)
class Turn:
    """What one turn came to."""

    rate: float
    """Transactions a second."""
    cpu: float
    """Microseconds of the server's CPU a transaction."""
    wal: float
    """Bytes of the log a transaction."""


@dataclass(frozen=True)
class Load:
    """How the writers write."""

    seconds: int
    rounds: int
    clients: int
    keys: int


async def prepare(url: str) -> None:
    """Make the tables and prepare them."""
    connection = await asyncpg.connect(url)
    for kind in KINDS:
        await connection.execute(TABLES.format(kind=kind, rows=AGGREGATES))
    await connection.execute(LOCK)
    tables = tuple(
        Table(table=kind, order="statement" if kind == "statement" else "commit") for kind in KINDS
    )
    said: list[str] = []
    settings = Outbox(database=url, tables=tables)
    await Installer(Database(lambda: url, settings=SESSION), settings, said.append).install(None)
    await connection.close()


async def clean(url: str, kind: str) -> int:
    """Begin each turn with an empty table and no dead rows; where the log stands."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"TRUNCATE {kind}")
    await connection.execute(f"VACUUM aggregate_{kind}")
    await connection.execute("CHECKPOINT")
    place = await log(connection)
    await connection.close()
    return place


async def log(connection: asyncpg.Connection) -> int:
    """Where the server's log stands, in bytes."""
    return int(await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8"))


async def logged(url: str) -> int:
    """The same over a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await log(connection)
    finally:
        await connection.close()


def turn(server: backing.Postgres, kind: str, load: Load, folder: Path) -> Turn:
    """Write events for a while."""
    begins = asyncio.run(clean(server.url, kind))
    script = folder / f"{kind}.sql"
    script.write_text(
        SCRIPT.format(kind=kind, rows=AGGREGATES, keys=load.keys, filler="x" * 260), encoding="utf-8"
    )
    pid = server.pid or 0
    own, before = children(pid), used(pid)
    done = subprocess.run(
        [
            str(backing.postgres_bin() / "pgbench"), server.url, "-n", "-M", "prepared", "-c", str(load.clients),
            "-j", "1", "-T", str(load.seconds), "-f", str(script),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    count = re.search(r"actually processed: ([0-9]+)", done.stdout)
    if rate is None or count is None:
        raise SystemExit(f"pgbench said no rate: {done.stdout[-300:]}")
    asyncio.run(until(lambda: children(pid) <= own))
    wal = asyncio.run(logged(server.url)) - begins
    return Turn(float(rate[1]), (used(pid) - before) / int(count[1]) * 1e6, wal / int(count[1]))


def report(name: str, turns: dict[str, list[Turn]]) -> None:
    """A line for each kind; what it takes is the median of the rounds' own, each against its own first kind."""
    sys.stdout.write(f"{name}\n")
    for kind in KINDS:
        less = [1 - one.rate / whole.rate for one, whole in zip(turns[kind], turns["statement"], strict=True)]
        rate, cpu, wal = (
            statistics.median(getattr(one, each) for one in turns[kind]) for each in ("rate", "cpu", "wal")
        )
        sys.stdout.write(
            f"  {kind:<10}{rate:8.0f} transactions/s{statistics.median(less) * 100:7.1f} % less{cpu:7.0f} us of CPU"
            f"{wal:7.0f} bytes of log   ({min(less) * 100:.0f} to {max(less) * 100:.0f} %)\n"
        )
    sys.stdout.flush()


def main(load: Load) -> None:
    """Measure and report."""

    def take(server: backing.Postgres, kind: str, folder: Path) -> Turn:
        return turn(server, kind, load, folder)

    for commits, turns in compared(KINDS, load.rounds, prepare, take):
        report(f"{load.clients} clients, {load.keys} keys, {commits}", turns)


if __name__ == "__main__":
    main(
        Load(
            *(
                int(os.environ.get(name, text))
                for name, text in (("SECONDS", "5"), ("ROUNDS", "5"), ("CLIENTS", "16"), ("KEYS", "250"))
            )
        )
    )
