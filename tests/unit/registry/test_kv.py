"""What a folder of KV may hold."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agent.model.store import Entry, Store
from agent.registry import kv
from agent.registry.kv import Configuration
from agent.registry.metrics import Metrics
from agent.runtime.health import Board
from agent.runtime.latest import Latest

OWN, SHARED = ("config/orders/", False), ("config/_shared/", True)


class Client:
    """A Consul that was never away."""

    breaks = 0
    credentials = 0

    async def values(self, prefix: str, index: int = 0, wait: float = 0) -> tuple[int, list[Any]]:
        await asyncio.Event().wait()
        raise AssertionError


def rows(prefix: str, **values: bytes) -> list[Any]:
    return [{"Key": f"{prefix}{key}", "Value": value, "ModifyIndex": 7} for key, value in values.items()]


class World:
    """The component and its cells."""

    def __init__(self, file: Path | None = None, patience: float = 0.01) -> None:
        self.board = Board(lambda: 0.0)
        self.store = Latest(Store())
        self.client = Client()
        self.configuration = Configuration(
            self.client, "orders", self.store, file, health=self.board.of("configuration"),
            metrics=Metrics(CollectorRegistry()), patience=patience,
        )  # fmt: skip

    async def see(self, folder: tuple[str, bool], **values: bytes) -> None:
        await self.configuration.observe(*folder, rows(folder[0], **values))

    @property
    def word(self) -> str:
        return self.board.reports["configuration"].detail


TOO_LARGE = [
    {f"k{number}": b"" for number in range(kv.MOST + 1)},
    {f"k{number}": b"x" * 500_000 for number in range(9)},
]


@pytest.mark.parametrize("values", TOO_LARGE)
async def test_a_folder_that_is_too_large_leaves_its_last_values_in_use(values: dict[str, bytes]) -> None:
    world = World()
    await world.see(OWN, limit=b"1")
    await world.see(SHARED, region=b"eu")
    assert (world.word, len(world.store.value.entries)) == ("", 2)
    await world.see(SHARED, **values)
    assert "config/_shared/ has" in world.word
    assert "its last values stay in use" in world.word
    await world.see(OWN, limit=b"2")
    assert "config/_shared/ has" in world.word, "the other folder does not hide it"
    assert {key: entry.value for key, entry in world.store.value.entries.items()} == {
        "limit": b"2",
        "region": b"eu",
    }
    await world.see(SHARED, region=b"us")
    assert world.word == ""
    assert world.store.value.get("region")[1] == b"us"


async def test_a_folder_that_was_always_too_large_does_not_keep_the_other_one_back(tmp_path: Path) -> None:
    world = World(tmp_path / "none.json")
    ready = asyncio.Event()
    task = asyncio.create_task(world.configuration.run(ready.set))
    await world.see(OWN, limit=b"1")
    await world.see(SHARED, **TOO_LARGE[0])
    await asyncio.wait_for(ready.wait(), 60)
    assert list(world.store.value.entries) == ["limit"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_folder_that_is_too_large_at_the_start_has_its_values_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "store.json"
    before = Store({"limit": Entry(3, b"1"), "region": Entry(4, b"eu", shared=True)}, 4)
    file.write_bytes(kv.encode(before))
    world = World(file)
    ready = asyncio.Event()
    task = asyncio.create_task(world.configuration.run(ready.set))
    await world.see(SHARED, **TOO_LARGE[0])
    await asyncio.wait_for(ready.wait(), 60)
    assert world.store.value == before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_key_that_is_too_long_is_left_out() -> None:
    key = "k" * (kv.LONGEST_KEY + 1)
    assert list(kv.folder(*OWN, rows(OWN[0], **{key: b"x", key[1:]: b"x"}))) == [key[1:]]
