"""Which of what an answer lacks has left, and which was lost with the state of Consul that it was in."""

from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from agent.model.catalog import Catalog
from agent.registry.client import Client
from agent.registry.metrics import Reads
from agent.registry.watcher import Watcher
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest


class Consul:
    """What the watcher asks besides; ``breaks`` rises with each answer that failed to come."""

    def __init__(self) -> None:
        self.breaks = 0
        self.name = "one"
        self.leader: tuple[int, list[Any]] | None = None
        self.asked_leader = 0

    async def led(self, service: str) -> tuple[int, list[Any]]:
        self.asked_leader += 1
        if self.leader is None:
            raise Transient("no leader")
        return self.leader

    async def identity(self) -> str:
        return self.name

    async def birth(self, node: str) -> int:
        return len(node)


def row(number: int) -> dict[str, Any]:
    service = {"ID": f"orders-{number}", "Service": "orders", "Address": f"10.0.0.{number}", "Port": 80}
    return {"Service": service, "Checks": []}


def watching(consul: Consul, catalog: Latest[Catalog]) -> Watcher:
    return Watcher(
        cast("Client", consul), frozenset({"orders"}), catalog, None, keep_last=600,
        health=Board(lambda: 0.0).of("watcher"), metrics=Reads(CollectorRegistry()),
    )  # fmt: skip


def known(catalog: Latest[Catalog]) -> tuple[list[str], bool]:
    """Whom callers get, and whether some of them are only kept."""
    service = catalog.value.services["orders"]
    return [instance.id for instance in service.instances], service.stale


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
    consul, catalog = Consul(), Latest(Catalog())
    watcher = watching(consul, catalog)
    await watcher.observe("orders", [row(1), row(2)], 40)
    consul.breaks, consul.name, consul.leader = breaks, name, (index, [row(1)])
    await watcher.observe("orders", [row(1)], index)
    assert known(catalog)[0] == left


@pytest.mark.parametrize(
    ("at", "has", "expected"),
    [
        (50, [1], (["orders-1"], False)),
        (50, [1, 2], (["orders-1", "orders-2"], False)),
        (39, [1], (["orders-1", "orders-2"], True)),
    ],
    ids=["it has left", "it lives", "the store was put back"],
)
async def test_what_an_earlier_state_lacks_is_for_the_leader_to_say(
    at: int, has: list[int], expected: tuple[list[str], bool]
) -> None:
    """With ``discovery_max_stale`` a server answers that is behind, as if the store had been put back."""
    consul, catalog = Consul(), Latest(Catalog())
    watcher = watching(consul, catalog)
    await watcher.observe("orders", [row(1), row(2)], 40)
    consul.breaks, consul.leader = 1, (at, [row(number) for number in has])
    await watcher.observe("orders", [row(1)], 39)
    assert (known(catalog), consul.asked_leader) == (expected, 1)


async def test_without_a_leader_an_earlier_state_is_not_believed() -> None:
    consul, catalog = Consul(), Latest(Catalog())
    watcher = watching(consul, catalog)
    await watcher.observe("orders", [row(1), row(2)], 40)
    consul.breaks = 1
    with pytest.raises(Transient, match="no leader"):
        await watcher.observe("orders", [row(1)], 39)
    assert known(catalog) == (["orders-1", "orders-2"], False)
    await watcher.observe("orders", [row(1), row(2)], 39)
    assert (known(catalog), consul.asked_leader) == ((["orders-1", "orders-2"], False), 1)
