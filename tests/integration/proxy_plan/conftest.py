"""Envoys and services that end with their test, and a client."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
import pytest_asyncio

from agent.demo.process import Process

P = TypeVar("P", bound=Process)
Start = Callable[[P], P]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: unix socket paths end at 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="plan"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a process and ends it with the test."""
    started: list[Process] = []

    def run(process: P) -> P:
        started.append(process)
        process.start()
        return process

    yield run
    for process in reversed(started):
        process.stop(5)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that takes no proxy from the environment and keeps no cookies."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session
