"""A running server of each broker, once a session, and a place of its own for each test."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.inject.certificates import making
from tests.integration.outbox.brokers.proxy import Proxy
from tests.integration.outbox.brokers.rig import Certificates, Rig
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


@pytest.fixture(scope="session")
def certificates(server_folder: Path) -> Certificates:
    """A CA of this session's and what it signed, which every server's user may read."""
    folder = server_folder / "certificates"
    folder.mkdir()
    now = datetime.now(UTC)
    ca = making.authority(now, timedelta(days=2))
    made = making.serving(ca, ["127.0.0.1", "localhost"], now, timedelta(days=1))
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    files.ca.write_bytes(ca.certificate)
    files.certificate.write_bytes(made.certificate)
    files.key.write_bytes(made.key)
    for file in (files.ca, files.certificate, files.key):
        file.chmod(0o644)
    return files


@pytest.fixture(scope="session")
def rigs(server_folder: Path, certificates: Certificates) -> Iterator[Callable[[str], Rig]]:
    """The rig of a name, made when it is first asked for."""
    made: dict[str, Rig] = {}

    def rig(name: str) -> Rig:
        if name not in made:
            folder = server_folder / f"broker-{name}"
            folder.mkdir()
            folder.chmod(0o755)
            made[name] = RIGS[name](folder, certificates)
        return made[name]

    yield rig
    for each in made.values():
        each.stop()


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
