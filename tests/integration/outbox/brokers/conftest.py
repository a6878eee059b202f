"""A place of its own on each broker's server for each test."""

import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.outbox.brokers.proxy import Proxy
from tests.integration.outbox.brokers.rig import Rig
from tests.integration.outbox.brokers.rigs import LACKS, RIGS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test for each broker that has what it is about; one worker has all tests of one broker."""
    if "broker_name" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("needs")
        need = mark.args[0] if mark else ""
        names = [name for name in RIGS if need not in LACKS[name]]
        metafunc.parametrize(
            "broker_name",
            [pytest.param(name, marks=pytest.mark.xdist_group(f"broker-{name}")) for name in names],
            scope="session",
        )


@pytest.fixture
def rig(rigs: Callable[[str], Rig], broker_name: str) -> Rig:
    """The broker's server, running, whatever the test before did to it."""
    found = rigs(broker_name)
    found.start()
    return found


@pytest.fixture
async def place(rig: Rig) -> str:
    """The name of a place that is prepared."""
    name = f"p{uuid.uuid4().hex[:10]}"
    await rig.prepare(name)
    return name


@pytest.fixture
async def proxy(rig: Rig) -> AsyncIterator[Proxy]:
    """The proxy of the way ``proxy``."""
    async with Proxy(rig.listen, rig.target).running() as running:
        yield running
