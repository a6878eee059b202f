"""What the watcher of many services reads, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from agent.model.catalog import Catalog
from agent.registry import blocking
from agent.registry.client import Client
from agent.registry.metrics import Reads
from agent.registry.selection import Check, Marks, marks
from agent.registry.watcher import Watcher
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.waiting import until

NAMES = tuple(f"s-{number:02}" for number in range(30))


class Consul:
    """Answers like Consul's; a question with the present index waits for the next or for its time to be over."""

    breaks = 0
    credentials = 0

    def __init__(self) -> None:
        self.index = Latest(1)
        self.listed, self.checked = 1, 1
        self.status = dict.fromkeys(NAMES, "passing")
        self.read: list[str] = []
        self.answers = 0

    async def _held(self, index: int, wait: float, now: str) -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while index and getattr(self, now) <= index:
                    await self.index.changed(self.index.version)
        self.answers += 1
        return int(getattr(self, now))

    async def services(self, index: int = 0, wait: float = 0) -> tuple[int, list[str]]:
        return await self._held(index, wait, "listed"), list(NAMES)

    async def checks(self, index: int = 0, wait: float = 0) -> tuple[int, Marks]:
        new = await self._held(index, wait, "checked")
        return new, marks(Check("n", f"c:{name}", status, name) for name, status in self.status.items())

    async def newer(self, name: str, known: int) -> tuple[int, list[Any] | None]:
        self.read.append(name)
        return self.listed, None if known == self.listed else []

    async def identity(self) -> str:
        return "one"

    def turn(self, *, listed: bool = False, checks: bool = False) -> None:
        """Something changed."""
        now = self.index.value + 1
        self.listed = now if listed else self.listed
        self.checked = now if checks else self.checked
        self.index.set(now)


@asynccontextmanager
async def watching(consul: Consul) -> AsyncIterator[None]:
    """A watcher that has read everything once; what it read until then is forgotten."""
    catalog: Latest[Catalog] = Latest(Catalog())
    watcher = Watcher(
        cast("Client", consul), frozenset(NAMES), catalog, None, keep_last=600,
        health=Board(lambda: 0.0).of("watcher"), metrics=Reads(CollectorRegistry()),
    )  # fmt: skip
    task = asyncio.create_task(watcher.run(lambda: None))
    try:
        await until(lambda: catalog.value.known and set(consul.read) == set(NAMES))
        await until(lambda: not watcher._due)
        consul.read.clear()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_question_whose_time_is_over_reads_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an agent of 1,000 services would be busy with nothing."""
    monkeypatch.setattr(blocking, "WAIT", 0.05)
    consul = Consul()
    async with watching(consul):
        before = consul.answers
        await until(lambda: consul.answers >= before + 10)
        assert consul.read == []


async def test_what_the_checks_say_is_read_before_what_only_may_have_changed() -> None:
    consul = Consul()
    async with watching(consul):
        consul.status["s-29"] = "critical"
        consul.turn(listed=True)
        consul.turn(checks=True)
        await until(lambda: set(consul.read) == set(NAMES))
        assert consul.read[0] == "s-29"


async def test_an_instance_without_a_check_that_comes_is_noticed_too() -> None:
    consul = Consul()
    async with watching(consul):
        consul.turn(listed=True)
        await until(lambda: set(consul.read) == set(NAMES))
