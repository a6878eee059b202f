"""What the triggers take of a service's writes: one-row updates with them, without, and with a bare INSERT instead.

Run as `make bench-capture`; SECONDS is how long each is looked at in a round (5), ROUNDS how often (5), CLIENTS how
many write at once (16). The three take turns within a round, so that whatever else the machine does meets all of them.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from agent.config.sections.outbox import Changes, Outbox
from agent.demo import backing
from agent.outbox.database import Database
from agent.outbox.sql.install import SESSION, Installer
from tests.waiting import until

T = TypeVar("T")
ROWS = 10000
KINDS = ("nothing", "bare", "watched")
"""Tables: without a trigger; with one that only inserts a constant row of the same size; with ours."""

TABLES = """
CREATE TABLE {kind} (
    id int PRIMARY KEY, customer int NOT NULL, status text NOT NULL, note text NOT NULL, total numeric(12, 2) NOT NULL,
    at timestamptz NOT NULL DEFAULT now(), version int NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO {kind} SELECT n, n % 250, 'open', repeat('n', 100), n * 1.25 FROM generate_series(1, {rows}) AS n"""

BARE = """
CREATE TABLE beside (LIKE pillion.outbox INCLUDING ALL);
CREATE FUNCTION bare() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO beside (bucket, origin, type, key, payload) VALUES (
        1, 'public.bare', 'bare.updated', '1', '{"before" : "%s"}');
    RETURN NULL;
END $$;
CREATE TRIGGER bare AFTER UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION bare()"""


TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Turn:
    """What one turn came to."""

    rate: float
    """Updates a second."""
    cpu: float
    """Microseconds of the server's CPU an update: says the same on a machine that has other work."""


@dataclass(frozen=True)
class Load:
    """How the writers write."""

    seconds: int
    rounds: int
    clients: int


async def prepare(url: str) -> None:
    """Make the tables, and have changes of one watched."""
    connection = await asyncpg.connect(url)
    for kind in KINDS:
        await connection.execute(TABLES.format(kind=kind, rows=ROWS))
    settings = Outbox(database=url, changes=(Changes(table="watched"),))
    said: list[str] = []
    await Installer(Database(lambda: url, settings=SESSION), settings, said.append).install(None)
    await connection.execute(BARE % ("x" * 330))
    await connection.close()


async def clean(url: str, kind: str) -> None:
    """Begin each turn with empty tables of events and no dead rows."""
    connection = await asyncpg.connect(url)
    await connection.execute("TRUNCATE pillion.outbox, beside")
    await connection.execute(f"VACUUM {kind}")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def synchronous(url: str, fsync: bool) -> None:
    """Have commits wait for the disk, or cost next to nothing."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"ALTER SYSTEM SET fsync = {'on' if fsync else 'off'}")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


def used(pid: int) -> float:
    """Seconds of CPU of the server and its sessions that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def children(pid: int) -> set[str]:
    """The server's processes; one that ended is among them until the server has taken over its CPU."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())


def turn(server: backing.Postgres, kind: str, load: Load, folder: Path) -> Turn:
    """Update rows for a while."""
    script = folder / f"{kind}.sql"
    text = f"\\set n random(1, {ROWS})\nUPDATE {kind} SET version = version + 1 WHERE id = :n;\n"
    script.write_text(text, encoding="utf-8")
    tool = str(backing.postgres_bin() / "pgbench")
    argv = [
        tool,
        server.url,
        "-n",
        "-M",
        "prepared",
        "-c",
        str(load.clients),
        "-j",
        "1",
        "-T",
        str(load.seconds),
    ]
    pid = server.pid or 0
    own, before = children(pid), used(pid)
    done = subprocess.run([*argv, "-f", str(script)], capture_output=True, text=True, check=True)
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    count = re.search(r"actually processed: ([0-9]+)", done.stdout)
    if rate is None or count is None:
        raise SystemExit(f"pgbench said no rate: {done.stdout[-300:]}")
    asyncio.run(until(lambda: children(pid) <= own))
    return Turn(float(rate[1]), (used(pid) - before) / int(count[1]) * 1e6)


def report(name: str, turns: Mapping[str, list[Turn]]) -> None:
    """A line for each table; the cost is the median of the rounds' own, each against its own ceiling."""
    sys.stdout.write(f"{name}\n")
    for kind in KINDS:
        costs = [
            1 - one.rate / ceiling.rate for one, ceiling in zip(turns[kind], turns["nothing"], strict=True)
        ]
        rate = statistics.median(one.rate for one in turns[kind])
        cpu = statistics.median(one.cpu for one in turns[kind])
        sys.stdout.write(
            f"  {kind:<10}{rate:9.0f} updates/s{statistics.median(costs) * 100:7.1f} % less{cpu:8.0f} us of CPU each"
            f"   ({min(costs) * 100:.0f} to {max(costs) * 100:.0f} %)\n"
        )


def compared(
    kinds: Sequence[str],
    rounds: int,
    prepare: Callable[[str], Coroutine[Any, Any, None]],
    take: Callable[[backing.Postgres, str, Path], T],
) -> Iterator[tuple[str, dict[str, list[T]]]]:
    """The turns of each kind on a PostgreSQL of their own, with commits that wait for the disk, and with such as cost
    next to nothing; each with what its commits are. ``prepare`` gets the server's URL, ``take`` makes one turn of a
    kind."""
    with tempfile.TemporaryDirectory(prefix="pillion-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        options = {"shared_buffers": "256MB", "max_wal_size": "4GB", "autovacuum": "off", "timezone": "UTC"}
        server = backing.Postgres(folder / "postgres", settings=options)
        server.start()
        try:
            asyncio.run(prepare(server.url))
            for fsync in (True, False):
                asyncio.run(synchronous(server.url, fsync))
                turns: dict[str, list[T]] = {kind: [] for kind in kinds}
                for number in range(rounds):
                    for kind in kinds if number % 2 else kinds[::-1]:
                        turns[kind].append(take(server, kind, folder))
                waits = "commits that wait for the disk" if fsync else "commits that wait for nothing"
                yield f"{waits} (fsync {'on' if fsync else 'off'})", turns
        finally:
            server.stop()


def main(load: Load) -> None:
    """Measure and report."""

    def take(server: backing.Postgres, kind: str, folder: Path) -> Turn:
        asyncio.run(clean(server.url, kind))
        return turn(server, kind, load, folder)

    for commits, turns in compared(KINDS, load.rounds, prepare, take):
        report(f"{load.clients} clients, {commits}", turns)


if __name__ == "__main__":
    main(
        Load(
            *(
                int(os.environ.get(name, text))
                for name, text in (("SECONDS", "5"), ("ROUNDS", "5"), ("CLIENTS", "16"))
            )
        )
    )
