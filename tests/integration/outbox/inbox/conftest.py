"""A rig for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.demo import backing
from tests.integration.outbox.inbox.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path, shared_nats: backing.Nats, own_database: str) -> AsyncIterator[Rig]:
    """A stream and a database; the service is started by the test."""
    rig = Rig(tmp_path, shared_nats.url, own_database)
    try:
        await rig.open()
        yield rig
    finally:
        await rig.close()
