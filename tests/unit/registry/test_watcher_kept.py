"""The catalogue that is on disk after the end is the last one."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from agent.model.catalog import Catalog
from agent.registry import remembered, watcher
from agent.registry.client import Client
from agent.registry.metrics import Reads
from agent.runtime.files import write_atomically
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.unit.registry.test_watcher_restored import Consul, row
from tests.waiting import until


async def test_an_end_amid_a_write_leaves_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, order = threading.Event(), threading.Event(), list[int]()

    def late(path: Path, data: bytes) -> None:
        """The first one takes until it may go on."""
        if not begun.is_set():
            begun.set()
            assert go.wait(60)
        order.append(data.count(b"orders-"))
        write_atomically(path, data)

    monkeypatch.setattr(watcher, "write_atomically", late)
    file = tmp_path / "catalog.json"
    following = watcher.Watcher(
        cast("Client", Consul()), frozenset({"orders"}), Latest(Catalog()), file, keep_last=600,
        health=Board(lambda: 0.0).of("watcher"), metrics=Reads(CollectorRegistry()),
    )  # fmt: skip
    keeping = asyncio.create_task(following._keep())
    await asyncio.sleep(0)  # it begins
    await following.observe("orders", [row(1)], 40)
    await until(begun.is_set)
    await following.observe("orders", [row(1), row(2)], 41)
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=0.2)  # as long as a second write would take beside the first
    go.set()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    await until(lambda: len(order) == 2)
    kept = remembered.load(file).services["orders"].passing
    assert [one.id for one in kept] == ["orders-1", "orders-2"]
