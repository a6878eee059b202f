"""An agent's delivery and the real Envoy, for one test each."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.xds.rig import Agent, Envoy


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: unix socket paths end at 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="xds"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def agent(folder: Path) -> Agent:
    """An agent that does not run yet."""
    return Agent(folder)


@pytest.fixture
def envoy(folder: Path) -> Iterator[Envoy]:
    """An Envoy that does not run yet."""
    process = Envoy(folder)
    yield process
    process.kill()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as session:
        yield session
