"""A person who has everything sent again that was set aside, every few seconds, whatever is broken meanwhile."""

import asyncio
from collections import Counter

from agent.outbox.database import Database
from agent.outbox.parked.desk import Desk, Which
from agent.runtime.errors import PillionError
from tests.chaos.ledgers import FEEDS
from tests.chaos.rig import Rig

PAUSE = 2.0

EXPECTED = "message size exceeds maximum allowed"
"""What JetStream says of an event that is larger than the stream takes (nats-server, ``server/errors.json``)."""


class Person:
    """Looks and replays until it is cancelled. ``found`` counts the keys by why they were parked."""

    def __init__(self, rig: Rig) -> None:
        self.found: Counter[str] = Counter()
        self._rig = rig
        self._known: set[tuple[str, int | None]] = set()

    async def run(self) -> None:
        """For ever; a database that is away is asked again."""
        database = Database(lambda: self._rig.postgres.url, settings={"application_name": "chaos"})
        feeds = tuple(FEEDS.values())
        while True:
            await asyncio.sleep(PAUSE)
            try:
                async with database.connection() as connection:
                    desk = Desk(connection, "pillion")
                    parked = [each for each in await desk.look(feeds) if each.state == "parked"]
                    if parked:
                        self._note([(each.feed, each.first_row, each.reason) for each in parked])
                        await desk.replay(Which(feeds))
            except PillionError:
                continue

    def _note(self, parked: list[tuple[str, int | None, str]]) -> None:
        for feed, row, reason in parked:
            if (feed, row) not in self._known:
                self._known.add((feed, row))
                self.found[reason] += 1

    @property
    def problems(self) -> list[str]:
        """Keys that were parked for another reason than their size: a fault is none for that."""
        return [
            f"{count} keys were parked: {reason}"
            for reason, count in self.found.items()
            if EXPECTED not in reason
        ]
