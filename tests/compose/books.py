"""The orders that the database holds and the events that the broker holds."""

from collections import Counter

import nats
import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig

from tests.compose.engine import Project


def orders(project: Project) -> set[str]:
    """The ids of all orders that were committed."""
    ask = ("psql", "-U", "postgres", "-d", "shop", "-At", "-c", "SELECT id FROM orders")
    return set(project.execute("postgres", *ask).split())


async def created(url: str) -> Counter[str]:
    """How often the broker holds the event that an order was made, by the order's id."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        feed = await client.jetstream().pull_subscribe("orders.>", stream="orders", config=config)
        return await _all(feed)
    finally:
        await client.close()


async def _all(feed: "nats.js.JetStreamContext.PullSubscription") -> Counter[str]:
    found: Counter[str] = Counter()
    pending = (await feed.consumer_info()).num_pending
    while pending:
        for message in await feed.fetch(min(pending, 500), timeout=10):
            pending = message.metadata.num_pending
            if (message.headers or {}).get("ce-type") == "orders.created":
                found[message.headers["ce-subject"]] += 1
    return found
