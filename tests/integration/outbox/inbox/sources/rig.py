"""A service, a database, and one broker."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agent.config.settings import Settings
from agent.outbox import brokers
from agent.outbox.events import Event
from agent.outbox.inbox import sources
from agent.outbox.inbox.sources import Source
from tests.integration.outbox.brokers.carrier import Carrier
from tests.integration.outbox.brokers.rig import PASSWORD, Way
from tests.integration.outbox.inbox import rig
from tests.integration.outbox.inbox.sources.feeds import CONSUMER, Feed

SHORT = 4.0
"""Seconds of a lease that a test waits out, or that is only for how often somebody looks."""


class SourceRig(rig.Rig):
    """See ``inbox.rig``, for any broker. ``stream`` is the place."""

    def __init__(self, folder: Path, feed: Feed, database: str, partitions: int) -> None:
        super().__init__(folder, "", database)
        self.feed = feed
        self.partitions = partitions
        self.published: list[Event] = []

    async def open(self) -> None:
        await self.feed.prepare(self.stream, self.partitions)
        await self.open_book()

    def broker(self, way: Way = "plain", password: str = PASSWORD) -> dict[str, Any]:
        return self.feed.section(self.stream, way, password)

    def settings(self, **more: Any) -> Settings:
        return super().settings(**{"partitions": self.partitions, **more})

    def source(self, settings: Settings) -> Source:
        """The broker as the inbox gets it."""
        broker = settings.inbox.broker
        return sources.make(broker, broker.url, lambda: broker.url, CONSUMER, settings.inbox.lease)

    async def put(self, *made: Event) -> None:
        """Publish these by the relay's own broker, those of a key in order."""
        names = self.feed.names(self.partitions)
        events = []
        for each in made:
            row = len(self.published) + 1
            topic = f"{self.stream}.orders{names[partition(each.key, len(names))]}"
            events.append(replace(each, row=row, bucket=row, topic=topic))
            self.published.append(events[-1])
        broker = brokers.make(self.feed.server.settings(self.stream), "shop")
        sending = Carrier(broker, topics=frozenset(each.topic for each in events))
        await sending.carry(events)
        assert not sending.refused

    async def left(self) -> int:
        """How many messages the broker still has for the consumer; only while no inbox runs."""
        return await self.feed.left(self.stream, self.partitions)

    def check_order(self) -> None:
        """The first calls of each key are in the order in which its events were published, and all were called."""
        wanted: dict[str | None, list[str]] = defaultdict(list)
        for event in self.published:
            if event.id not in wanted[event.key]:
                wanted[event.key].append(event.id)
        firsts: dict[str | None, list[str]] = defaultdict(list)
        for note in self.noted():
            if note["id"] not in firsts[note["key"]]:
                firsts[note["key"]].append(note["id"])
        assert firsts == wanted

    def called_again(self) -> dict[str, int]:
        """What was called more than once, and how often."""
        return {identity: count for identity, count in Counter(self.called()).items() if count > 1}

    def check_one_at_a_time(self) -> None:
        """Of a key no call began while another was under way."""
        lines: dict[str, list[str]] = defaultdict(list)
        for note in sorted(self.noted("begin") + self.noted("end"), key=lambda note: note["at"]):
            lines[note["key"]].append(note["what"])
        for key, line in lines.items():
            assert line == ["begin", "end"] * (len(line) // 2), key


def event(identity: str, key: str | None = "k", **data: Any) -> Event:
    """An event for the consumer, which does what its data says."""
    return Event(
        row=0, bucket=0, key=key, topic="", id=identity, source="/shop", type="orders.created",
        time="2026-01-02T03:04:05Z", content="application/json", traceparent="", tracestate="", sequence="",
        body=json.dumps(data).encode(), feed="public.orders",
    )  # fmt: skip


def partition(key: str | None, partitions: int) -> int:
    """Any rule will do, as long as a key stays where it is."""
    return sum((key or "").encode()) % partitions


def many(count: int, keys: int, first: int = 0, **data: Any) -> Sequence[Event]:
    """Events in turns of the keys."""
    return [event(f"e{number}", f"k{number % keys}", **data) for number in range(first, first + count)]


async def restart(rig: SourceRig, how: str) -> None:
    """End the broker in order (``stop``) or at once (``kill``), and start it again."""
    await asyncio.to_thread(getattr(rig.feed.server, how))
    await asyncio.to_thread(rig.feed.server.start)
    await rig.feed.server.readers_return(rig.stream)
