"""A broker that stores when it likes, answers later or not at all, and refuses some events for a while."""

import asyncio
import random
from dataclasses import dataclass

from agent.outbox.brokers import Outcomes
from agent.outbox.events import Event


@dataclass(frozen=True)
class Stored:
    """One message, in the broker's order."""

    event: Event
    at: float


class Broker:
    """``refusing``: out of so many events one is refused while ``healthy`` is not set; 0: none."""

    def __init__(self, chance: random.Random, refusing: int, losing: float) -> None:
        self.log: list[Stored] = []
        self.tokens: set[str] = set()
        self.healthy = False
        self.chance = chance
        self.losing = losing
        """Probability that a message or its acknowledgement is lost with its link."""
        self._refusing = refusing

    def refuses(self, event: Event) -> bool:
        return (
            not self.healthy and self._refusing > 0 and random.Random(event.id).randrange(self._refusing) == 0
        )

    def store(self, event: Event) -> None:
        self.log.append(Stored(event, asyncio.get_running_loop().time()))
        self.tokens.add(event.id)


class Link:
    """One connection. Nothing is promised about the order of two messages that are in flight together."""

    largest = 1000
    warnings = ()

    def __init__(self, broker: Broker, outcomes: Outcomes) -> None:
        self._broker = broker
        self._outcomes: Outcomes | None = outcomes

    def abandon(self) -> None:
        """The relay is gone: what it sent may still be stored, nobody hears of it."""
        self._outcomes = None

    def send(self, number: int, event: Event) -> None:
        broker = self._broker
        loop = asyncio.get_running_loop()
        late = broker.chance.random() * 0.02
        if not broker.healthy and broker.chance.random() < broker.losing:
            # Whether the message came through or not: the link breaks before its answer.
            if broker.chance.random() < 0.5:
                loop.call_later(late, broker.store, event)
            loop.call_later(late * 2, self._break)
            return
        loop.call_later(late, self._arrive, number, event)

    async def answers(self) -> bool:
        await asyncio.sleep(0.01)
        return True

    def _arrive(self, number: int, event: Event) -> None:
        late = self._broker.chance.random() * 0.02
        if self._broker.refuses(event):
            asyncio.get_running_loop().call_later(late, self._refuse, number)
            return
        self._broker.store(event)
        asyncio.get_running_loop().call_later(late, self._acknowledge, number)

    def _acknowledge(self, number: int) -> None:
        if self._outcomes is not None:
            self._outcomes.acknowledged(number)

    def _refuse(self, number: int) -> None:
        if self._outcomes is not None:
            self._outcomes.refused(number, "it is refused for now")

    def _break(self) -> None:
        if self._outcomes is not None:
            outcomes, self._outcomes = self._outcomes, None
            outcomes.lost("the link broke")
