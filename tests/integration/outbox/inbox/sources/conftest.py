"""A rig of its own on each broker's server for each test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.integration.outbox.brokers.rig import Rig
from tests.integration.outbox.inbox.sources.feeds import FEEDS
from tests.integration.outbox.inbox.sources.rig import SourceRig


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test for each broker; one worker has all tests of one broker."""
    if "source_name" in metafunc.fixturenames:
        metafunc.parametrize(
            "source_name",
            [pytest.param(name, marks=pytest.mark.xdist_group(f"source-{name}")) for name in FEEDS],
            scope="session",
        )


@pytest.fixture
async def rig(
    tmp_path: Path,
    own_database: str,
    rigs: Callable[[str], Rig],
    source_name: str,
    request: pytest.FixtureRequest,
) -> AsyncIterator[SourceRig]:
    """A place and a database; the service is started by the test. The mark ``partitions`` says into how many the topic
    is spread."""
    mark = request.node.get_closest_marker("partitions")
    server = rigs(source_name)
    server.start()
    rig = SourceRig(tmp_path, FEEDS[source_name](server), own_database, mark.args[0] if mark else 1)
    try:
        await rig.open()
        yield rig
    finally:
        await rig.close()
