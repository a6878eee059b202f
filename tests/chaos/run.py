"""One run: the servers, the writers and the plan together, then rest, then the judge."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tests.chaos import ledgers
from tests.chaos.aside import Person
from tests.chaos.checker import Change, Seen, Verdict, check
from tests.chaos.faults import Faults
from tests.chaos.ledgers import FEEDS
from tests.chaos.moves import Moved
from tests.chaos.plan import Plan
from tests.chaos.rig import Rig
from tests.chaos.workload import Book, Workload
from tests.integration.outbox.bench import Arrived, read_stream

T = TypeVar("T")

WINDOW = 5.0
"""Seconds that a position may stay unsaved: two saves a second, on a machine that has other things to do."""

PAGES = 300
"""Of so many pages is the largest tick."""

QUIET = 2.0
"""Seconds without any message after which none is expected any more."""

SETTLED = 30.0
"""Seconds within which the relays must have shared the buckets, once nothing is broken any more."""

REST = 60.0
"""Seconds without any message after which what is missing is lost, once nothing is broken any more."""


@dataclass
class Report:
    """What came of a run."""

    plan: Plan
    faults: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    takeovers: int = 0
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    parked: dict[str, int] = field(default_factory=dict)
    owners: dict[str, dict[str, int]] = field(default_factory=dict)
    """Who had how many buckets of each feed in the end, when nothing was broken any more."""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        plan = self.plan
        lines = [
            f"seed {plan.seed}, {plan.seconds:g} s, page {plan.page}, {plan.relays} relays",
            f"faults {sum(self.faults.values())}, take-overs {self.takeovers}: {_listed(self.faults)}",
            f"positions: {_told(self.moved)}",
            f"parked and replayed: {sum(self.parked.values())} keys",
        ]
        lines += [f"{topic} at rest: {_listed(buckets)} buckets" for topic, buckets in self.owners.items()]
        if self.left:
            lines.append("left out, libfaketime is not there: " + ", ".join(self.left))
        lines += [f"{feed}: {verdict}" for feed, verdict in self.verdicts.items()]
        lines += self.problems[:50]
        if len(self.problems) > 50:
            lines.append(f"and {len(self.problems) - 50} more")
        return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _told(moved: Sequence[Moved]) -> str:
    saves, claims = sum(each.saves for each in moved), sum(each.claims for each in moved)
    wrong = sum(len(each.problems) for each in moved)
    return f"{saves} saves and {claims} claims of a bucket, in {len(moved)} databases, wrong {wrong}"


async def run(plan: Plan, folder: Path, say: Callable[[str], None], pages: int = PAGES) -> Report:
    """Follow the plan; ``folder`` keeps the logs, the largest tick has so many ``pages``."""
    rig = Rig(folder, plan.page, plan.relays)
    book = Book()
    person = Person(rig)
    async with rig.running(), asyncio.TaskGroup() as group:
        workload = Workload(lambda: rig.postgres.url, plan.seed, book, plan.page * pages)
        faults = Faults(rig, workload, plan.flood)
        rig.relays.start()
        workload.start()
        replays = group.create_task(person.run(), name="what is parked is replayed")
        say(f"seed {plan.seed}: {len(plan.faults)} faults within {plan.seconds:g} s, in {folder}")
        await faults.follow(plan.faults)
        say("nothing is broken any more; the writers end")
        await workload.stop()
        for name in await _leftovers(rig):
            await rig.execute(f"COMMIT PREPARED '{name}'")
        journal = await _read(rig, ledgers.journal)
        say(f"{len(journal)} changes are committed; waiting for all of them")
        messages = await _arrived(rig, len(journal), say)
        replays.cancel()
        report = Report(plan, dict(faults.done), list(faults.left), rig.takeovers, parked=dict(person.found))
        await _judge(report, rig, book, messages)
        report.problems += [*rig.relays.problems, *person.problems]
        return report


async def _judge(report: Report, rig: Rig, book: Book, messages: Sequence[Arrived]) -> None:
    report.problems += await _read(rig, _set_aside)
    last = await _read(rig, ledgers.held)
    for topic in FEEDS:
        seen = [_seen(each) for each in messages if each.subject.endswith(f".{topic}")]
        report.verdicts[topic] = verdict = check(
            book.outcomes, last.journal, seen, rig.faults, WINDOW, rig.lives[topic], last.histories[topic]
        )
        report.problems += [f"{topic}: {problem}" for problem in verdict.problems]
    report.moved = [*rig.moved, await _read(rig, ledgers.moved)]
    report.problems += [problem for each in report.moved for problem in each.problems]
    members = min(report.plan.relays, rig.settings.relays)
    report.owners = await _rested(rig, members)
    report.problems += [
        f"{topic}: its buckets are not shared fairly by {members} relays at rest: {buckets}"
        for topic, buckets in report.owners.items()
        if not _is_fair(buckets, members)
    ]


async def _read(rig: Rig, reading: Callable[[Any], Awaitable[T]]) -> T:
    session = await rig.admin()
    try:
        return await reading(session)
    finally:
        session.terminate()


async def _rested(rig: Rig, members: int) -> dict[str, dict[str, int]]:
    """Who has how many buckets once they are shared by so many members, or after a while."""
    ends = time.monotonic() + SETTLED
    while True:
        owners = await _read(rig, _owners)
        if all(_is_fair(buckets, members) for buckets in owners.values()) or time.monotonic() > ends:
            return owners
        await asyncio.sleep(0.5)


def _is_fair(buckets: Mapping[str, int], members: int) -> bool:
    counts = buckets.values()
    return len(counts) == members and sum(counts) == 64 and max(counts) - min(counts) <= 1


async def _owners(session: Any) -> dict[str, dict[str, int]]:
    rows = await session.fetch(
        "SELECT feed, owner, count(*)::int AS buckets FROM pillion.bucket WHERE owner IS NOT NULL GROUP BY 1, 2"
    )
    return {
        topic: {row["owner"]: row["buckets"] for row in rows if row["feed"] == feed}
        for topic, feed in FEEDS.items()
    }


async def _leftovers(rig: Rig) -> list[str]:
    async def names(session: Any) -> list[str]:
        return [row["gid"] for row in await session.fetch("SELECT gid FROM pg_prepared_xacts")]

    return await _read(rig, names)


async def _set_aside(session: Any) -> list[str]:
    """What still waits for a person, though one asked for all of it."""
    rows = await session.fetch(
        "SELECT state, reason, count(*) AS keys FROM pillion.held_key GROUP BY state, reason"
    )
    return [f"{row['keys']} keys are {row['state']}: {row['reason']}" for row in rows]


async def _arrived(rig: Rig, changes: int, say: Callable[[str], None]) -> list[Arrived]:
    """All messages, once every change of every feed is among them and none comes any more, or once nothing
    moves for long."""
    messages: list[Arrived] = []
    tokens: set[tuple[str, str]] = set()
    before, since = -1, time.monotonic()
    while True:
        count = await rig.bench.count()
        if count != before:
            before, since = count, time.monotonic()
        still = time.monotonic() - since
        if still > QUIET and count >= changes * len(FEEDS) and count > len(messages):
            more = await _read_on(rig, len(messages))
            messages += more
            tokens |= {(each.subject, _seen(each).token) for each in more}
            # Those who publish had less of the machine meanwhile.
            since = time.monotonic()
        elif still > (QUIET if len(tokens) >= changes * len(FEEDS) else REST):
            messages += await _read_on(rig, len(messages))
            say(f"{len(messages)} messages arrived")
            return messages
        await asyncio.sleep(0.5)


async def _read_on(rig: Rig, after: int) -> list[Arrived]:
    """In a thread of its own, for the ways from the relays to their servers lead through this one."""
    reading = partial(read_stream, rig.nats.url, rig.bench.stream, after)
    return await asyncio.to_thread(lambda: asyncio.run(reading()))


def _seen(message: Arrived) -> Seen:
    data = message.data
    data = data.get("after", data)
    history = int(message.headers["ce-sequence"].partition("-")[0])
    return Seen(data["token"], Change(data["k"], data["v"]), message.headers["ce-id"], message.at, history)
