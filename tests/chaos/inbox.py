"""The inbox under faults: ``python -m tests.chaos.inbox --seed N --seconds S``.

Three inbox processes share a topic's partitions and post to one service; all of them, their database and the broker are
ended and stopped by a plan. Judged is what the service wrote down of its calls: each message was worked on, those of a
key in their order, and again only where something was broken.
"""

import asyncio
import itertools
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncpg
import click
import msgspec
import nats.errors

from agent.demo import backing
from agent.demo.process import Process
from tests.chaos.checker import Change, Fault, Outcome, Seen, Verdict, check
from tests.chaos.plan import Planned, dealt
from tests.chaos.rig import NATS
from tests.chaos.workload import BROKEN
from tests.integration.outbox.inbox.rig import ROOT, Rig

LASTING: Mapping[str, tuple[float, float]] = {
    "inbox_killed": (0.1, 3.0),
    "inbox_stopped": (0.5, 5.0),
    "service_killed": (0.1, 3.0),
    "service_stopped": (0.5, 3.0),
    "sessions_ended": (0.0, 0.0),
    "database_crashed": (0.0, 2.0),
    "broker_killed": (0.0, 2.0),
}
"""Seconds that a fault of each kind lasts."""

NAMES = ("one", "two", "three")
PARTITIONS, KEYS, WRITERS = 4, 30, 3
PAUSE = 0.03
"""Seconds between two messages of a writer."""

WINDOW = 4.0
"""Seconds around a fault within which a call may be made again: a lease, and what a busy machine adds."""

REST = 60.0
"""Seconds without any call after which what is missing is lost, once nothing is broken any more."""

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pillion'"


class World:
    """The processes, what is broken of them, and what was published. Times are of the monotonic clock, which the
    service shares."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.nats = backing.Nats(folder / "nats")
        file = folder / "nats.conf"
        file.write_text(NATS)
        self.nats.argv += ["-c", str(file)]
        self.postgres = backing.Postgres(folder / "postgres")
        self.rig = Rig(folder, self.nats.url, self.postgres.url)
        self.faults: list[Fault] = []
        self.done: Counter[str] = Counter()
        self.published: dict[str, Change] = {}
        argv = [
            sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.rig.port}", "--threads", "16",
            "--no-control-socket", "tests.integration.outbox.inbox.consumer:app",
        ]  # fmt: skip
        environ = {**os.environ, "CALLS": str(self.rig.calls_file)}
        self.service = Process("service", argv, folder / "service.log", env=environ, cwd=ROOT)
        settings = folder / "settings.json"
        settings.write_bytes(
            msgspec.json.encode(self.rig.settings(partitions=PARTITIONS, lease=2.0, timeout=10.0))
        )
        command = [sys.executable, "-m", "tests.integration.outbox.inbox.process", str(settings)]
        self.inboxes = [
            Process(f"inbox {name}", [*command, name], folder / f"inbox-{name}.log", cwd=ROOT)
            for name in NAMES
        ]
        self._turns: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Everything that is needed."""
        self.nats.start()
        self.postgres.start()
        await self.rig.open()
        for each in (self.service, *self.inboxes):
            each.launch()

    async def stop(self) -> None:
        """End all of it."""
        for each in (*self.inboxes, self.service):
            await asyncio.to_thread(each.stop)
        await self.rig.close()
        self.postgres.stop()
        self.nats.kill()

    async def write(self, number: int, until: asyncio.Event) -> None:
        """Publish messages of this writer's keys, each until the broker has it."""
        chance = random.Random(number)
        for count in itertools.count(1):
            if until.is_set():
                return
            key = chance.randrange(KEYS // WRITERS) * WRITERS + number
            identity = f"e{number}-{count}"
            await self._publish(identity, key)
            self.published[identity] = Change(f"k{key}", count)
            await asyncio.sleep(PAUSE * chance.uniform(0.2, 1.8))

    async def _publish(self, identity: str, key: int) -> None:
        while True:
            try:
                # Of one key all are in one partition.
                return await self.rig.publish(identity, f"k{key}", key % PARTITIONS)
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(0.1)

    async def follow(self, planned: list[Planned]) -> None:
        """Do all faults at their times; returns when the last is healed."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for each in planned:
                await asyncio.sleep(max(0.0, start + each.at - time.monotonic()))
                group.create_task(self._do(each), name=f"fault {each.kind}")

    async def _do(self, planned: Planned) -> None:
        async with self._turns.setdefault(planned.kind.partition("_")[0], asyncio.Lock()):
            begin = time.monotonic()
            await getattr(self, planned.kind)(planned)
            self.faults.append(Fault(begin, time.monotonic()))
            self.done[planned.kind] += 1

    async def inbox_killed(self, planned: Planned) -> None:
        """SIGKILL, and another one later."""
        await self._killed(self.inboxes[planned.which % len(NAMES)], planned)

    async def inbox_stopped(self, planned: Planned) -> None:
        """SIGSTOP, often past the lease."""
        await self._stopped(self.inboxes[planned.which % len(NAMES)], planned)

    async def service_killed(self, planned: Planned) -> None:
        """The service is gone in the middle of its calls, and comes again."""
        await self._killed(self.service, planned)

    async def service_stopped(self, planned: Planned) -> None:
        """The service answers late."""
        await self._stopped(self.service, planned)

    async def sessions_ended(self, _planned: Planned) -> None:
        """The inboxes' sessions end."""
        try:
            session = await asyncpg.connect(self.postgres.url, timeout=5)
        except BROKEN:
            return
        try:
            await session.execute(END)
        finally:
            session.terminate()

    async def database_crashed(self, planned: Planned) -> None:
        """An immediate stop, and a start later."""
        await self._restarted(self.postgres, signal.SIGQUIT, planned)

    async def broker_killed(self, planned: Planned) -> None:
        """SIGKILL, and again later with what it had acknowledged."""
        await self._restarted(self.nats, signal.SIGKILL, planned)

    async def _restarted(self, server: Process, sign: signal.Signals, planned: Planned) -> None:
        await asyncio.to_thread(server.stop, 20, sign)
        await asyncio.sleep(planned.lasting)
        server.launch()
        await asyncio.to_thread(server.wait)

    async def _killed(self, process: Process, planned: Planned) -> None:
        # With its workers: each process here leads a group of its own.
        if process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.kill)
        await asyncio.sleep(planned.lasting)
        process.launch()

    async def _stopped(self, process: Process, planned: Planned) -> None:
        if (pid := process.pid) is None:
            return
        os.killpg(pid, signal.SIGSTOP)
        await asyncio.sleep(planned.lasting)
        os.killpg(pid, signal.SIGCONT)

    async def rest(self) -> None:
        """Until every message was worked on, or nothing happens for long."""
        before, since = -1, time.monotonic()
        while time.monotonic() - since < REST:
            ends = {note["id"] for note in self.rig.noted("end")}
            if self.published.keys() <= ends:
                return
            if len(ends) != before:
                before, since = len(ends), time.monotonic()
            await asyncio.sleep(0.2)

    def verdict(self) -> Verdict:
        """What was begun is judged for order and copies, what came to its end for being there."""
        begun = [self._seen(note) for note in self.rig.noted("begin")]
        book = dict.fromkeys(self.published, Outcome.COMMITTED)
        verdict = check(book, self.published, begun, self.faults, WINDOW)
        ends = {note["id"] for note in self.rig.noted("end")}
        verdict.lost += [f"never worked on: {each}" for each in self.published if each not in ends]
        return verdict

    def _seen(self, note: dict[str, object]) -> Seen:
        identity = str(note["id"])
        change = Change(str(note["key"]), int(identity.rpartition("-")[2]))
        return Seen(identity, change, identity, float(str(note["at"])))


async def run(seed: int, seconds: float, folder: Path, say: Callable[[str], None]) -> Verdict:
    """Follow the plan that the seed makes; ``folder`` keeps the logs."""
    world = World(folder)
    ends = asyncio.Event()
    try:
        await world.start()
        say(f"inbox, seed {seed}, {seconds:g} s, in {folder}")
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(world.write(number, ends), name=f"writer {number}")
            await world.follow(dealt(random.Random(seed), seconds, LASTING))
            ends.set()
        await world.rest()
        say("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(world.done.items())))
        return world.verdict()
    finally:
        await world.stop()


@click.command()
@click.option("--seed", default=0, help="Which plan; 0 takes one from the clock.")
@click.option("--seconds", default=120.0, help="How long faults happen.")
def main(seed: int, seconds: float) -> None:
    """Break inboxes by a plan and judge the calls of their service."""
    logging.disable(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="pillion-chaos-inbox-"))
    verdict = asyncio.run(run(seed or int(time.time()), seconds, folder, click.echo))
    click.echo(str(verdict))
    for problem in verdict.problems[:50]:
        click.echo(problem)
    if verdict.problems:
        click.echo(f"the logs are in {folder}")
        raise SystemExit(1)
    click.echo("clean")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
