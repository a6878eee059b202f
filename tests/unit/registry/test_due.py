"""The order in which services are read."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.registry.due import Due
from tests.waiting import until


class Reader:
    """Reads by noting the name, once it may."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.failing: set[str] = set()
        self.may = asyncio.Event()
        self.may.set()

    async def read(self, name: str) -> bool:
        self.begun.append(name)
        await self.may.wait()
        self.done.append(name)
        return name not in self.failing


@asynccontextmanager
async def reading(*kinds: Callable[[Any], Coroutine[Any, Any, None]]) -> AsyncIterator[Reader]:
    """A reader in the given tasks of ``Due``."""
    reader = Reader()
    tasks = [asyncio.create_task(kind(reader.read)) for kind in kinds]
    try:
        yield reader
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_urgent_does_not_wait_for_the_rest() -> None:
    due = Due()
    async with reading(due.read, due.read) as reader:
        reader.may.clear()
        due.want(("a", "b", "c"))
        await until(lambda: reader.begun == ["a"])
        due.want(("c",), urgent=True)
        await until(lambda: reader.begun == ["a", "c"])
        reader.may.set()
        await until(lambda: not due)
        assert sorted(reader.done) == ["a", "b", "c"]


async def test_what_turns_out_to_be_urgent_is_read_once() -> None:
    due = Due()
    async with reading(due.read, due.read) as reader:
        due.want(("a", "b"))
        due.want(("b",), urgent=True)
        due.want(("b",))
        await until(lambda: not due)
        assert reader.done == ["b", "a"]


async def test_what_changes_while_it_is_read_is_read_again_afterwards() -> None:
    due = Due()
    async with reading(due.read, due.read) as reader:
        reader.may.clear()
        due.want(("a",), urgent=True)
        await until(lambda: reader.begun == ["a"])
        due.want(("a", "b"), urgent=True)
        await until(lambda: reader.begun == ["a", "b"])
        reader.may.set()
        await until(lambda: not due)
        assert reader.begun == ["a", "b", "a"]


async def test_what_could_not_be_read_is_read_again() -> None:
    due = Due()
    async with reading(due.read, due.read) as reader:
        reader.failing = {"a", "b"}
        due.want(("a",), urgent=True)
        due.want(("b",))
        await until(lambda: {"a", "b"} <= set(reader.done))
        reader.failing.clear()
        await until(lambda: not due)
        assert min(reader.done.count("a"), reader.done.count("b")) >= 2


async def test_the_rest_has_its_turn_now_and_then_whatever_is_urgent() -> None:
    due = Due()
    done: list[str] = []

    async def read(name: str) -> bool:
        done.append(name)
        due.want((f"urgent {len(done)}",), urgent=True)
        await asyncio.sleep(0)
        return True

    due.want(("a", "b"))
    due.want(("urgent",), urgent=True)
    tasks = [asyncio.create_task(due.read(read)) for _ in range(2)]
    try:
        await until(lambda: {"a", "b"} <= set(done))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_dropped_is_not_read() -> None:
    due = Due()
    due.want(("a", "b"))
    due.want(("c",), urgent=True)
    due.drop("a")
    due.drop("c")
    async with reading(due.read, due.read) as reader:
        await until(lambda: not due)
        assert reader.done == ["b"]


async def test_changes_without_end_are_read_at_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read waits for its turn, also when everything is urgent."""
    monkeypatch.setattr("agent.registry.due.BURST", 5)
    monkeypatch.setattr("agent.registry.due.RATE", 20.0)
    due = Due()
    async with reading(due.read, due.read) as reader:
        began = time.monotonic()
        due.want([str(number) for number in range(15)], urgent=True)
        await until(lambda: len(reader.done) == 15)
        assert time.monotonic() - began >= 9 / 20
