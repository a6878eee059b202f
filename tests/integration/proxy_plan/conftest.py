"""Envoys and services that end with their test, and a client."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
import pytest_asyncio

from agent.demo.process import Process

P = TypeVar("P", bound=Process)
Start = Callable[[P], P]
Begin = Callable[[P], Awaitable[P]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: unix socket paths end at 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="plan"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def processes(folder: Path) -> Iterator[list[Process]]:
    """Those that end with the test."""
    started: list[Process] = []
    yield started
    for process in reversed(started):
        process.stop(5)


@pytest.fixture
def start(processes: list[Process]) -> Start:
    """Starts a process; nothing of the test's own answers meanwhile."""

    def run(process: P) -> P:
        processes.append(process)
        process.start()
        return process

    return run


@pytest.fixture
def begin(processes: list[Process]) -> Begin:
    """Starts a process that asks services in this one before it answers."""

    async def run(process: P) -> P:
        processes.append(process)
        process.launch()
        await asyncio.to_thread(process.wait)
        return process

    return run


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that takes no proxy from the environment and keeps no cookies."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session
