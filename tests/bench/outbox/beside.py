"""What the relay costs the service's database: a poll of a large table at rest, and the service's own transactions."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg

from agent.config.sections.outbox import Outbox
from agent.demo import backing
from agent.outbox import shape
from agent.outbox.cursor import Poll
from agent.outbox.database import Database
from agent.outbox.feeds import feeds
from agent.outbox.reader import Reader
from agent.outbox.snapshot import Snapshot
from tests.bench.outbox import drains, service
from tests.bench.outbox.figures import Figures

POLLS = 300
CLIENTS, RATE = 16, 300

ACCOUNTS = """
DROP TABLE IF EXISTS account;
CREATE TABLE account (id int PRIMARY KEY, total bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO account (id) SELECT generate_series(1, 10000)"""

SCRIPT = """\\set n random(1, 10000)
BEGIN;
UPDATE account SET total = total + 1 WHERE id = :n;
INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES (
  gen_random_uuid(), 'order', (:n::int)::text, 'Changed', jsonb_build_object('n', :n::int, 'pad', repeat('x', 250)));
COMMIT;
"""


async def idle(figures: Figures, outbox: Outbox, rows: int) -> None:
    """Polls of a table that holds so many rows, all of them published."""
    await service.prepare(outbox)
    await service.fill(outbox.database, rows, 20000)
    feed = feeds(outbox)[0]
    async with Database(lambda: outbox.database).connection() as connection:
        now = Snapshot.parse(await connection.value("looking", "SELECT pg_current_snapshot()::text"))
        reader = Reader(connection, await shape.look(connection, feed), feed.name, 1000)
        times = []
        for _ in range(POLLS):
            began = time.perf_counter()
            await reader.poll(Poll(frozenset(range(64)), now))
            times.append((time.perf_counter() - began) * 1000)
    quick = sorted(times)[POLLS // 20]
    figures.note(f"a poll of an idle table of {rows:,} rows, median", statistics.median(times), "ms", 1)
    figures.note("the quickest twentieth of them, which others disturb least", quick, "ms", 1)


def impact(figures: Figures, folder: Path, outbox: Outbox, seconds: int, rounds: int) -> None:
    """The service's transactions at a rate that leaves room, with the relay and without, in turns."""
    script = folder / "service.sql"
    script.write_text(SCRIPT, encoding="utf-8")
    times: dict[bool, list[float]] = {True: [], False: []}
    asyncio.run(service.prepare(outbox))
    for number in range(rounds):
        for relayed in (True, False) if number % 2 else (False, True):
            asyncio.run(_fresh(outbox.database))
            if not relayed:
                times[relayed].append(_written(outbox.database, script, seconds))
                continue
            with drains.relay(folder, outbox) as child:
                drains.told(child)
                times[relayed].append(_written(outbox.database, script, seconds))
    ratios = [with_ / without - 1 for with_, without in zip(times[True], times[False], strict=True)]
    without = statistics.median(times[False])
    figures.note(f"the service's transactions at {RATE}/s without the relay, median", without, "ms")
    figures.note("with it they take longer by, median of pairs", statistics.median(ratios) * 100, "%", 3)
    figures.say(f"    pairs: {', '.join(f'{ratio * 100:+.1f} %' for ratio in ratios)}")


async def _fresh(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(ACCOUNTS)
    await connection.execute("CHECKPOINT")
    await connection.close()


def _written(url: str, script: Path, seconds: int) -> float:
    """The median time of a transaction in ms, without the time that it waited for its turn.

    Not the mean: a few that wait for the disk are most of that, and they come with the relay as without.
    """
    with tempfile.TemporaryDirectory(dir=script.parent) as logs:
        argv = [
            str(backing.postgres_bin() / "pgbench"), url, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1",
            "-R", str(RATE), "-T", str(seconds), "-f", str(script), "--log", f"--log-prefix={logs}/took",
        ]  # fmt: skip
        subprocess.run(argv, capture_output=True, check=True)
        lines = [line.split() for file in Path(logs).iterdir() for line in file.read_text().splitlines()]
    # Fields of pgbench's log: client, number, time with the wait, script, second, microsecond, wait.
    return statistics.median(int(fields[2]) - int(fields[6]) for fields in lines) / 1000
