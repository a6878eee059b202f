"""A database of its own for each test, made from an empty template, and a server of each broker, once a session."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from agent.demo import backing
from agent.inject.certificates import making
from tests import databases
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.brokers.rig import Certificates, Rig
from tests.integration.outbox.brokers.rigs import RIGS


@pytest.fixture
def database_options() -> str:
    """What the bench's database is created with besides; a module may have a fixture of its own."""
    return ""


@pytest.fixture
async def bench(
    shared_postgres: backing.Postgres, shared_nats: backing.Nats, database_options: str
) -> AsyncIterator[Bench]:
    """A service's database with Pillion in it, and a stream."""
    name = f"outbox_{uuid.uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(shared_postgres.url)
        stack.push_async_callback(admin.close)
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 {database_options}")
        stack.push_async_callback(databases.drop, admin, name)
        bench = Bench(f"{shared_postgres.url.rpartition('/')[0]}/{name}", shared_nats.url)
        stack.push_async_callback(bench.close)
        await bench.open()
        yield bench


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
