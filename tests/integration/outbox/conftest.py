"""A database of its own for each test, made from an empty template."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from agent.demo import backing
from tests.integration.outbox.bench import Bench


@pytest.fixture
async def bench(shared_postgres: backing.Postgres, shared_nats: backing.Nats) -> AsyncIterator[Bench]:
    """A service's database with Pillion in it, and a stream."""
    name = f"outbox_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(shared_postgres.url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    bench = Bench(f"{shared_postgres.url.rpartition('/')[0]}/{name}", shared_nats.url)
    try:
        await bench.open()
        yield bench
    finally:
        await bench.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
