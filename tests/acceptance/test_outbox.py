"""A model change in an unmodified service arrives as an event that belongs to the request's trace."""

import uuid
from typing import Any

import aiohttp
import asyncpg
import nats
import nats.js.errors

from agent.demo import backing
from tests.acceptance.conftest import Mesh
from tests.waiting import until


async def test_the_event_of_a_traced_request_carries_its_traceparent(
    own_database: str, mesh: Mesh, shared_nats: backing.Nats, shared_jaeger: backing.Jaeger
) -> None:
    connection = await asyncpg.connect(own_database)
    try:
        await connection.execute("CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL)")
    finally:
        await connection.close()

    stream = f"s{uuid.uuid4().hex[:8]}"
    (mesh.folder / "database").write_text(own_database)
    settings: dict[str, Any] = {
        "service": {"routes": []},
        "tracing": {"endpoint": shared_jaeger.endpoint, "sample": 1},
        "outbox": {
            "database_file": str(mesh.folder / "database"),
            "changes": [{"table": "orders", "topic": f"{stream}.orders"}],
            "broker": {"url": shared_nats.url, "stream": stream, "create": True},
        },
    }
    (mesh.folder / "database").chmod(0o600)
    environ = {"DATABASE_URL": own_database.replace("postgresql://", "postgresql+psycopg://")}
    writer = mesh.service("orders", app="writer:app", settings=settings, environ=environ, label="writer")
    assert (await _pillion(writer, "outbox", "init"))[0] == 0
    assert (await _pillion(writer, "outbox", "init"))[0] == 0
    await writer.ready()

    trace = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{writer.inbound}/orders/shoe", headers=headers) as answer,
    ):
        assert answer.status == 201

    client = await nats.connect(shared_nats.url)
    try:
        jetstream = client.jetstream(timeout=30)

        async def message() -> Any:
            try:
                return await jetstream.get_last_msg(stream, f"{stream}.orders")
            except nats.js.errors.NotFoundError:
                return None

        event = await until(message, within=60)
        assert event.headers["ce-type"] == "orders.created"
        assert event.headers["ce-traceparent"].split("-")[1] == trace
        assert b"shoe" in event.data
    finally:
        await client.close()


async def _pillion(instance: Any, *words: str) -> tuple[int, str]:
    """Run a command of `pillion` with the instance's settings: exit status and what it printed."""
    import asyncio
    import sys

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *words,
        "--config",
        str(instance.file),
        stdout=-1,
        stderr=-2,
        env=instance.environ,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()
