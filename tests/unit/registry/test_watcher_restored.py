"""Which of what an answer lacks has left, and which was lost with the state of Consul that it was in."""

from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from agent.model.catalog import Catalog
from agent.registry.client import Client
from agent.registry.metrics import Reads
from agent.registry.watcher import Watcher
from agent.runtime.health import Board
from agent.runtime.latest import Latest


class Consul:
    """What the watcher asks besides; ``breaks`` rises with each answer that failed to come."""

    breaks = 0
    name = "one"

    async def identity(self) -> str:
        return self.name

    async def birth(self, node: str) -> int:
        return len(node)


def row(number: int) -> dict[str, Any]:
    service = {"ID": f"orders-{number}", "Service": "orders", "Address": f"10.0.0.{number}", "Port": 80}
    return {"Service": service, "Checks": []}


@pytest.mark.parametrize(
    ("breaks", "name", "index", "left"),
    [
        (0, "one", 50, ["orders-1"]),
        (1, "one", 50, ["orders-1"]),
        (1, "one", 39, ["orders-1", "orders-2"]),
        (1, "two", 50, ["orders-1", "orders-2"]),
        (1, "", 50, ["orders-1", "orders-2"]),
    ],
    ids=["no break", "the same store", "an earlier state of it", "another store", "who knows which store"],
)
async def test_what_an_answer_lacks_has_left_only_if_the_store_went_on(
    breaks: int, name: str, index: int, left: list[str]
) -> None:
    consul, catalog, health = Consul(), Latest(Catalog()), Board(lambda: 0.0).of("watcher")
    watcher = Watcher(
        cast("Client", consul), frozenset({"orders"}), catalog, None, keep_last=600,
        health=health, metrics=Reads(CollectorRegistry()),
    )  # fmt: skip
    await watcher.observe("orders", [row(1), row(2)], 40)
    consul.breaks, consul.name = breaks, name
    await watcher.observe("orders", [row(1)], index)
    assert [instance.id for instance in catalog.value.services["orders"].instances] == left
