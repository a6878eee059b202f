"""What the relay costs the service's database: a poll of a large table at rest, and the service's own transactions."""

import asyncio
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections import deque
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
from tests.bench.proxy.figures import interval

POLLS = 300
CLIENTS, RATE = 16, 300
TURN, SETTLES = 2.0, 0.5
"""Seconds of a turn, and those at its begin that do not count: what was held up comes then."""

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


def impact(figures: Figures, folder: Path, outbox: Outbox, pairs: int) -> None:
    """The service's transactions at a rate that leaves room, while the relay goes and while it is held, by turns of
    seconds: what a machine does in a minute is another thing from what it did in the one before."""
    script = folder / "service.sql"
    script.write_text(SCRIPT, encoding="utf-8")
    asyncio.run(service.prepare(outbox))
    asyncio.run(_fresh(outbox.database))
    with drains.relay(folder, outbox) as child, tempfile.TemporaryDirectory(dir=folder) as logs:
        drains.told(child)
        threading.Thread(
            target=deque, args=(child.stdout, 0), daemon=True
        ).start()  # else it would wait for a reader
        seconds = int(2 * TURN * pairs + 2 * SETTLES)
        argv = [
            str(backing.postgres_bin() / "pgbench"), outbox.database, "-n", "-M", "prepared", "-c", str(CLIENTS),
            "-j", "1", "-R", str(RATE), "-T", str(seconds), "-f", str(script), "--log", f"--log-prefix={logs}/took",
        ]  # fmt: skip
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as writer:
            turns = _turns(child, pairs)
            _, said = writer.communicate(timeout=60)
        if writer.returncode:
            raise SystemExit(f"pgbench ended with {writer.returncode}: {said}")
        took = _took(Path(logs))
    beside, alone = ([_median(took, turn) for turn in turns[relayed]] for relayed in (True, False))
    ratios = [one / other for one, other in zip(beside, alone, strict=True)]
    slower, low, high = interval(ratios, ratios, lambda one, _: (one - 1) * 100)
    figures.note(
        f"the service's transactions at {RATE}/s without the relay, median", statistics.median(alone), "ms"
    )
    figures.note("with it they take longer by, median of pairs", slower, "%", 3)
    figures.say(f"    95 % interval {low:+.1f} to {high:+.1f} %, of {pairs} pairs of {TURN:g} s")


Turn = tuple[float, float]
"""Begin and end in seconds of the wall clock."""


def _turns(child: "subprocess.Popen[str]", pairs: int) -> dict[bool, list[Turn]]:
    """Let the relay go and hold it by turns; when it went, and when it did not."""
    found: dict[bool, list[Turn]] = {True: [], False: []}
    time.sleep(SETTLES)
    try:
        for number in range(pairs):
            for relayed in (True, False) if number % 2 else (False, True):
                child.send_signal(signal.SIGCONT if relayed else signal.SIGSTOP)
                began = time.time()
                time.sleep(TURN)
                found[relayed].append((began + SETTLES, began + TURN))
    finally:
        child.send_signal(signal.SIGCONT)
    return found


def _took(logs: Path) -> list[tuple[float, float]]:
    """When each transaction ended, in seconds of the wall clock, and its ms, without what it waited for its turn."""
    lines = [line.split() for file in logs.iterdir() for line in file.read_text().splitlines()]
    # Fields of pgbench's log: client, number, time with the wait, script, second, microsecond, wait.
    return [
        (int(fields[4]) + int(fields[5]) / 1e6, (int(fields[2]) - int(fields[6])) / 1000) for fields in lines
    ]


def _median(took: list[tuple[float, float]], turn: Turn) -> float:
    """Not the mean: a few that wait for the disk are most of that, and they come with the relay as without."""
    began, ended = turn
    return statistics.median(each for at, each in took if began <= at < ended)


async def _fresh(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(ACCOUNTS)
    await connection.execute("CHECKPOINT")
    await connection.close()
