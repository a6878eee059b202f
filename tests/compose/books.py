"""The orders that the database holds and the events that the broker holds."""

import json
from collections import Counter
from dataclasses import dataclass, field

import nats
import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig

from tests.compose.engine import Project

Order = tuple[str, str]
"""An order's id and the time at which it was made: after a restore a number can be given a second time."""


@dataclass
class Events:
    """What the broker holds."""

    created: Counter[Order] = field(default_factory=Counter)
    """How often each order was told as made."""
    ids: Counter[str] = field(default_factory=Counter)
    """How often each event's id is there, whatever it tells."""


def orders(project: Project) -> set[Order]:
    """All orders that were committed."""
    columns = "SELECT id || ' ' || (to_json(created) #>> '{}') FROM orders"
    said = project.execute("postgres", "psql", "-U", "postgres", "-d", "shop", "-Atc", columns)
    return {(number, made) for number, made in map(str.split, said.splitlines())}


async def events(url: str) -> Events:
    """All events in the broker's stream."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        feed = await client.jetstream().pull_subscribe("orders.>", stream="orders", config=config)
        return await _all(feed)
    finally:
        await client.close()


async def _all(feed: "nats.js.JetStreamContext.PullSubscription") -> Events:
    found = Events()
    pending = (await feed.consumer_info()).num_pending
    while pending:
        for message in await feed.fetch(min(pending, 500), timeout=10):
            pending = message.metadata.num_pending
            headers = message.headers or {}
            found.ids[headers["ce-id"]] += 1
            if headers["ce-type"] == "orders.created":
                found.created[headers["ce-subject"], json.loads(message.data)["after"]["created"]] += 1
    return found
