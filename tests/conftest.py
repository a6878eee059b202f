"""Real servers for all tests; each is started once for a session and ended with it."""

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from agent.demo import backing
from tests import databases, ports

backing.free_port = ports.free_port

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update-golden`` rewrites the golden files with what comes out now."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that the servers' users can enter; not below pytest's own, which other sessions tidy up."""
    folder = Path(tempfile.mkdtemp(prefix="pillion-servers-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a unix socket's path has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pillion-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_consul(server_folder: Path) -> Iterator[backing.Consul]:
    """A Consul for tests that neither stop it nor count what is in it."""
    server = backing.Consul(server_folder / "consul")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_consul(tmp_path: Path) -> Iterator[backing.Consul]:
    """A Consul that a test may stop, kill and restart (a restart is empty)."""
    server = backing.Consul(tmp_path / "consul")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_nats(server_folder: Path) -> Iterator[backing.Nats]:
    """A NATS for tests that do not stop it; take streams of your own."""
    server = backing.Nats(server_folder / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_postgres(server_folder: Path) -> Iterator[backing.Postgres]:
    """A PostgreSQL for tests that do not stop it; take a database of your own."""
    server = backing.Postgres(server_folder / "postgres", settings={"fsync": "off"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own_database(shared_postgres: backing.Postgres) -> AsyncIterator[str]:
    """The URL of an empty database in it, gone afterwards: one that is left keeps a role that all share."""
    name = f"own_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(shared_postgres.url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield f"{shared_postgres.url.rpartition('/')[0]}/{name}"
        await databases.drop(admin, name)
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def shared_jaeger(server_folder: Path) -> Iterator[backing.Jaeger]:
    """A Jaeger for tests that look for traces of their own."""
    server = backing.Jaeger(server_folder / "jaeger")
    server.start()
    yield server
    server.stop()
