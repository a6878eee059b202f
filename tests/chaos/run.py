"""One run: the servers, the writers and the plan together, then rest, then the judge."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.checker import Change, Seen, Verdict, check
from tests.chaos.faults import Faults
from tests.chaos.plan import Plan
from tests.chaos.rig import FEEDS, Rig
from tests.chaos.workload import Book, Workload
from tests.integration.outbox.bench import Arrived, read_stream

WINDOW = 5.0
"""Seconds that a position may stay unsaved: two saves a second, on a machine that has other things to do."""

PAGES = 300
"""Of so many pages is the largest tick."""

QUIET = 2.0
"""Seconds without any message after which none is expected any more."""

REST = 60.0
"""Seconds without any message after which what is missing is lost, once nothing is broken any more."""


@dataclass
class Report:
    """What came of a run."""

    plan: Plan
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    takeovers: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.plan.seed}, {self.plan.seconds:g} s, page {self.plan.page}, take-overs {self.takeovers}",
            "faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items())),
        ]
        if self.left:
            lines.append("left out, libfaketime is not there: " + ", ".join(self.left))
        lines += [f"{feed}: {verdict}" for feed, verdict in self.verdicts.items()]
        lines += self.problems[:50]
        if len(self.problems) > 50:
            lines.append(f"and {len(self.problems) - 50} more")
        return "\n".join(lines)


async def run(plan: Plan, folder: Path, say: Callable[[str], None], pages: int = PAGES) -> Report:
    """Follow the plan; ``folder`` keeps the logs, the largest tick has so many ``pages``."""
    rig = Rig(folder, plan.page)
    book = Book()
    async with rig.running():
        workload = Workload(rig.postgres.url, plan.seed, book, plan.page * pages)
        faults = Faults(rig, workload)
        rig.relays.start()
        workload.start()
        say(f"seed {plan.seed}: {len(plan.faults)} faults within {plan.seconds:g} s, in {folder}")
        await faults.follow(plan.faults)
        say("nothing is broken any more; the writers end")
        await workload.stop()
        for name in await _leftovers(rig):
            await rig.execute(f"COMMIT PREPARED '{name}'")
        journal = await _journal(rig)
        say(f"{len(journal)} changes are committed; waiting for all of them")
        messages = await _arrived(rig, len(journal), say)
        report = Report(plan, faults=dict(faults.done), left=list(faults.left), takeovers=rig.takeovers)
        for topic in FEEDS:
            seen = [_seen(each) for each in messages if each.subject.endswith(f".{topic}")]
            verdict = check(book.outcomes, journal, seen, rig.faults, WINDOW)
            report.verdicts[topic] = verdict
            report.problems += [f"{topic}: {problem}" for problem in verdict.problems]
        report.problems += rig.relays.problems
        if report.problems:
            report.problems = [*await _set_aside(rig), *report.problems]
        return report


async def _leftovers(rig: Rig) -> list[str]:
    session = await rig.admin()
    try:
        return [row["gid"] for row in await session.fetch("SELECT gid FROM pg_prepared_xacts")]
    finally:
        session.terminate()


async def _set_aside(rig: Rig) -> list[str]:
    """What still waits for a person, where keys can be set aside: a fault is no reason for that."""
    session = await rig.admin()
    try:
        if await session.fetchval("SELECT to_regclass('pillion.held_key') IS NULL"):
            return []
        rows = await session.fetch(
            "SELECT state, reason, count(*) AS keys FROM pillion.held_key GROUP BY state, reason"
        )
        return [f"{row['keys']} keys are {row['state']}: {row['reason']}" for row in rows]
    finally:
        session.terminate()


async def _journal(rig: Rig) -> dict[str, Change]:
    session = await rig.admin()
    try:
        rows = await session.fetch("SELECT token, k, v FROM journal")
        return {row["token"]: Change(row["k"], row["v"]) for row in rows}
    finally:
        session.terminate()


async def _arrived(rig: Rig, changes: int, say: Callable[[str], None]) -> list[Arrived]:
    """All messages, once every change of every feed is among them and none comes any more, or once nothing
    moves for long."""
    before, since = -1, time.monotonic()
    while True:
        count = await rig.bench.count()
        if count != before:
            before, since = count, time.monotonic()
        still = time.monotonic() - since
        if still > REST or (still > QUIET and count >= changes * len(FEEDS)):
            messages = await read_stream(rig.nats.url, rig.bench.stream)
            tokens = {(each.subject, _seen(each).token) for each in messages}
            if still > REST or len(tokens) >= changes * len(FEEDS):
                say(f"{len(messages)} messages arrived")
                return messages
        await asyncio.sleep(0.5)


def _seen(message: Arrived) -> Seen:
    data = message.data
    data = data.get("after", data)
    return Seen(data["token"], Change(data["k"], data["v"]), message.headers["ce-id"], message.at)
