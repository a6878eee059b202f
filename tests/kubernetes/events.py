"""What the broker got."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from agent.demo import readings
from tests.kubernetes.install import INFRA, SERVERS
from tests.kubernetes.world import World
from tests.waiting import until


@contextmanager
def broker(world: World) -> Iterator[str]:
    """The broker's URL on this machine, with the operator's password."""
    users = world.secret(SERVERS, f"{INFRA}-nats")["users.conf"]
    operator = json.loads(users.partition("users:")[2].rpartition("}")[0])[-1]
    with world.kube.forwarded(SERVERS, f"service/{INFRA}-nats", 4222) as port:
        yield f"nats://operator:{operator['password']}@127.0.0.1:{port}"


async def of_trace(url: str, number: str, within: float = 30) -> readings.Event:
    """Wait until the newest event of an order belongs to the trace; it."""

    async def arrived() -> readings.Event | None:
        event = await readings.newest(url, "orders", "orders.orders")
        return event if event and number in event.headers.get("ce-traceparent", "") else None

    return await until(arrived, within, every=0.5)
