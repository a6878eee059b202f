"""The step into an inbox: a second service takes the first one's events."""

from agent.demo import readings
from agent.demo.traffic import Answer, NotSeenError, until
from agent.demo.walk import Scene


async def heard(scene: Scene) -> str:
    """An event goes from a model's change through the broker into a second service's inbox, exactly once."""
    made = await scene.client.send("POST", "/shop/checkout", body={"sku": "cup", "quantity": 3})
    order = made.json["id"] if made.status == 201 else None
    if order is None:
        raise NotSeenError(f"the order was answered {made.status}")
    scene.report.saw(f"POST /shop/checkout: order {order}; orders only wrote a row")

    async def arrived() -> list[str]:
        return await _calls(scene, order)

    calls = await until(arrived, "the event at inventory", 30)
    scene.report.saw(f"inventory was called with {calls[0]}")
    event = await readings.event(scene.system.nats, "orders", "orders.orders", calls[0])
    if event is None:
        raise NotSeenError(f"the event {calls[0]} is not in the stream")
    await readings.publish(scene.system.nats, "orders.orders", event)
    scene.report.saw(
        "the same event published once more, as a relay does that did not hear the acknowledgement"
    )
    # The next order's event stands behind the second copy, in another line; both must be through.
    path = f"/api/v2/orders/{order}"
    changed = await scene.client.send("PATCH", path, body={"status": "paid"})
    if changed.status != 200:
        raise NotSeenError(f"PATCH {path} was answered {changed.status}")

    async def second() -> list[str]:
        found = await _calls(scene, order)
        return found if len(set(found)) > 1 else []

    calls = await until(second, "the next event of the order at inventory", 30)
    if len(calls) != len(set(calls)) or len(calls) != 2:
        raise NotSeenError(f"inventory was called with {', '.join(calls)}")
    return (
        "the row's change called inventory once, though the event was published twice; the next came after it"
    )


async def _calls(scene: Scene, order: int) -> list[str]:
    """The ids of the events of an order with which the instances of inventory were called."""
    told: dict[str, list[str]] = {}
    for _ in range(40):
        answer: Answer = await scene.client.get(f"/inventory/events/{order}")
        if answer.status == 200:
            told[answer.json["served_by"]] = answer.json["events"]
        if len(told) == 2:
            break
    return [event for events in told.values() for event in events]
