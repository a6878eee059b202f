"""Two instances, thousands of messages, and an inbox or the service killed every moment."""

import asyncio
import functools
import os
import random
import signal
import subprocess
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
import structlog

from agent.config.settings import Settings
from tests.integration.outbox.inbox.rig import Rig, kill, until

log = structlog.get_logger(__name__)

MESSAGES = int(os.environ.get("INBOX_MESSAGES", "1500"))
"""The long form: INBOX_MESSAGES=10000."""
SEED = int(os.environ.get("INBOX_SEED", "1"))
KEYS = 40
PARTITIONS = 8
SLOTS = 10
MARGIN = 1.0
"""Seconds around a kill in which what was under way may be called again."""


@dataclass
class Faults:
    """Kills one of the inboxes or the service at random, and starts it again."""

    rig: Rig
    settings: Settings
    chance: random.Random
    inboxes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: list[tuple[float, float]] = field(default_factory=list)
    """From when to when what was under way may not have been recorded, on the clock of the consumer's notes."""
    over: bool = False
    """Nothing is to be broken any more."""

    def begin(self) -> None:
        self.service = self.rig.start_service()
        for name in ("one", "two"):
            self.inboxes[name] = self.rig.process(self.settings, name)

    async def go_on(self) -> None:
        while not self.over:
            # Only after some work was done: a machine under load must not spend its time with starts alone.
            done = len(self.rig.called()) + self.chance.randrange(MESSAGES // 60, MESSAGES // 15)
            await until(functools.partial(self.called_more, done), within=60, every=0.1)
            if not self.over:
                await self.once(self.chance.choice(["one", "two", "one", "two", "stop", "service"]))

    def called_more(self, than: int) -> bool:
        return self.over or len(self.rig.called()) > than

    async def once(self, whom: str) -> None:
        began = time.monotonic()
        if whom == "service":
            await asyncio.to_thread(kill, self.service)
            self.service = self.rig.start_service()
        elif whom == "stop":
            name = self.chance.choice(["one", "two"])
            self.inboxes[name].send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.settings.inbox.lease * self.chance.uniform(0.3, 1.8))
            self.inboxes[name].send_signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(kill, self.inboxes[whom])
            self.inboxes[whom] = self.rig.process(self.settings, whom)
        self.kills.append((began, time.monotonic()))


@pytest.mark.exclusive
@pytest.mark.timeout(900)
async def test_each_message_reaches_the_service_in_order_and_once_but_for_what_was_under_way(
    rig: Rig,
) -> None:
    """Counted by the consumer's own notes: calls by id, first calls by key."""
    settings = rig.settings(partitions=PARTITIONS, concurrency=SLOTS, lease=4.0, retry_last=0.3)
    faults = Faults(rig, settings, random.Random(SEED))
    wanted = {f"e{number}" for number in range(MESSAGES)}
    faults.begin()
    killing = asyncio.create_task(faults.go_on())
    try:
        for number in range(MESSAGES):
            key = f"k{faults.chance.randrange(KEYS)}"
            await rig.publish(f"e{number}", key=key, partition=int(key[1:]) % PARTITIONS)
            if number % 20 == 0:
                await asyncio.sleep(0.05)
        await until(lambda: set(rig.called()) >= wanted, within=800, every=0.5)
    finally:
        # A fault that has begun is ended and noted.
        faults.over = True
        await killing
    await faults.once("one") if not faults.kills else None
    await rig.until_acknowledged(within=60)
    calls = Counter(rig.called())
    again = {identity for identity, count in calls.items() if count > 1}
    unexplained = [each for each in again if not _under_way(rig, each, faults.kills)]
    log.info("counts", messages=len(calls), faults=len(faults.kills), called_again=len(again), seed=SEED)
    assert set(calls) == wanted
    assert not unexplained, [note for note in rig.noted() if note["id"] in unexplained]
    assert sum(calls.values()) - len(calls) <= 2 * SLOTS * len(faults.kills)
    firsts = defaultdict(list)
    keys = {note["id"]: note["key"] for note in rig.noted()}
    for identity in calls:  # a Counter keeps the order of first occurrence
        firsts[keys[identity]].append(int(identity[1:]))
    for key, numbers in firsts.items():
        assert numbers == sorted(numbers), key
    owners = {row["owner"].split("/")[0] for row in await rig.sql.fetch(
        "SELECT owner FROM pillion_inbox.inbox_partition WHERE owner IS NOT NULL")}  # fmt: skip
    assert owners <= {"one", "two"}


def _under_way(rig: Rig, identity: str, kills: list[tuple[float, float]]) -> bool:
    """Whether every call but the last was with the service about when something was killed or stopped."""
    begins = sorted(note["at"] for note in rig.noted("begin") if note["id"] == identity)
    return all(any(began - MARGIN <= at <= ended + MARGIN for began, ended in kills) for at in begins[:-1])
