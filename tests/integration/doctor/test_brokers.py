"""The outbox's broker is looked at as the relay opens it, the inbox from outside; nothing is made there."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
import yaml
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from agent.demo import backing
from agent.outbox.inbox import install
from tests import databases
from tests.integration.doctor.conftest import Doctor

SECRET = "hunter2"


@asynccontextmanager
async def jetstream(server: backing.Nats) -> AsyncIterator[JetStreamContext]:
    """The server's JetStream, over a connection that is closed whatever happens."""
    client = await nats.connect(server.url, connect_timeout=60)
    try:
        yield client.jetstream(timeout=60)
    finally:
        await client.close()


def outbox(url: str, **broker: Any) -> dict[str, Any]:
    """Settings of a service with an outbox, whose database is away."""
    database = f"postgresql://u:{SECRET}@127.0.0.1:{backing.free_port()}/db"
    return {
        "service": {"name": "orders", "port": 8000},
        "outbox": {"database": database, "tables": [{"table": "outbox"}], "broker": {"url": url, **broker}},
    }


def looked(doctor: Doctor, settings: dict[str, Any]) -> dict[str, str]:
    """The finding about the outbox's broker."""
    (doctor.folder / "pillion.yaml").write_text(yaml.safe_dump(settings))
    doctor()
    assert SECRET not in doctor.said
    return next(one for one in doctor.findings if one["id"] == "outbox.broker")


@pytest.mark.provokes("outbox.broker", "problem")
@pytest.mark.parametrize("scheme", ["nats", "kafka", "amqp", "redis", "http"])
def test_a_broker_that_is_away_is_told_with_its_place(doctor: Doctor, scheme: str) -> None:
    port = backing.free_port()
    found = looked(doctor, outbox(f"{scheme}://u:{SECRET}@127.0.0.1:{port}", timeout=2))
    assert found["level"] == "problem"
    assert str(port) in found["found"] or scheme == "kafka"
    assert "outbox.broker.url" in found["todo"]


@pytest.mark.provokes("outbox.broker", "problem")
def test_a_scheme_that_nobody_knows(doctor: Doctor) -> None:
    found = looked(doctor, outbox(f"mqtt://u:{SECRET}@h"))
    assert "has a scheme that is not known" in found["found"]
    assert found["todo"] == "Mend the settings of outbox.broker."


@pytest.mark.provokes("outbox.broker", "problem")
async def test_a_stream_that_is_missing_is_told_and_not_made(
    doctor: Doctor, shared_nats: backing.Nats
) -> None:
    stream = f"s{uuid.uuid4().hex}"
    found = looked(doctor, outbox(shared_nats.url, stream=stream, timeout=60))
    assert f"the JetStream stream {stream}: there is none" in found["found"]
    found = looked(doctor, outbox(shared_nats.url, stream=stream, create=True, timeout=60))
    assert (found["level"], "the relay will make" in found["found"]) == ("ok", True)
    async with jetstream(shared_nats) as server:
        with pytest.raises(NotFoundError):
            await server.stream_info(stream)
        await server.add_stream(name=stream, subjects=[f"{stream}.>"])
    found = looked(doctor, outbox(shared_nats.url, stream=stream, timeout=60))
    assert found["level"] in {"ok", "warning"}


@pytest.mark.provokes("outbox.broker", "warning")
async def test_a_stream_that_may_lose_what_it_acknowledged(doctor: Doctor, shared_nats: backing.Nats) -> None:
    stream = f"m{uuid.uuid4().hex}"
    async with jetstream(shared_nats) as server:
        await server.add_stream(name=stream, subjects=[f"{stream}.>"], storage="memory")
    looked(doctor, outbox(shared_nats.url, stream=stream, timeout=60))
    said = [one["found"] for one in doctor.findings if one["id"] == "outbox.broker"]
    assert [one for one in said if "memory" in one]


def inbox(database: str, broker: str) -> dict[str, Any]:
    """Settings of a service with an inbox."""
    return {
        "service": {"name": "payments", "port": 8000},
        "inbox": {
            "database": database,
            "broker": {"url": broker},
            "topics": [{"topic": "orders", "path": "/events"}],
        },
    }


def received(doctor: Doctor, settings: dict[str, Any]) -> None:
    """Look at the inbox."""
    (doctor.folder / "pillion.yaml").write_text(yaml.safe_dump(settings))
    doctor()
    assert SECRET not in doctor.said


@pytest.mark.provokes("inbox.broker", "problem")
@pytest.mark.provokes("inbox.database", "problem")
def test_an_inbox_whose_database_and_broker_are_away(doctor: Doctor) -> None:
    first, second = backing.free_port(), backing.free_port()
    broker = f"nats://u:{SECRET}@127.0.0.1:{first},u:{SECRET}@127.0.0.1:{second}"
    received(doctor, inbox(f"postgresql://u:{SECRET}@127.0.0.1:{first}/db", broker))
    found = doctor.one("inbox.broker")["found"]
    assert f"Connection refused (127.0.0.1:{first}); Connection refused (127.0.0.1:{second})" in found
    assert "Connection refused" in doctor.one("inbox.database")["found"]


@pytest.mark.provokes("inbox.broker", "problem")
def test_an_inbox_of_a_broker_that_none_can_read(doctor: Doctor) -> None:
    database = f"postgresql://u:{SECRET}@127.0.0.1:{backing.free_port()}/db"
    received(doctor, inbox(database, f"http://u:{SECRET}@127.0.0.1:{backing.free_port()}"))
    found = doctor.one("inbox.broker")
    assert (
        "inbox.broker.url has a scheme that is not known; allowed: a URL with one of nats://"
        in found["found"]
    )
    assert "inbox.broker.url(_file)" in found["todo"]


@pytest.mark.provokes("inbox.broker", "problem")
@pytest.mark.provokes("outbox.broker", "problem")
def test_a_library_of_a_broker_that_is_not_installed(doctor: Doctor) -> None:
    code = "import sys; sys.modules['confluent_kafka'] = None; from agent.cli import main; main()"
    place = f"kafka://127.0.0.1:{backing.free_port()}"
    settings = {**inbox("postgresql://127.0.0.1/db", place), "outbox": outbox(place)["outbox"]}
    doctor.program = ("-c", code)
    received(doctor, settings)
    for id_ in ("inbox.broker", "outbox.broker"):
        found = doctor.one(id_)
        assert "pip install 'pillion[kafka]'" in found["found"]
        assert found["todo"].startswith("Install what is named there")


@pytest.mark.provokes("inbox.database", "problem")
@pytest.mark.provokes("inbox.dead", "warning")
async def test_an_inbox_without_its_tables_and_with_dead_letters(
    doctor: Doctor, own_database: str, shared_nats: backing.Nats
) -> None:
    settings = inbox(own_database, shared_nats.url)
    received(doctor, settings)
    assert "pillion inbox init" in doctor.one("inbox.database")["todo"]
    assert doctor.one("inbox.broker")["level"] == "ok"
    await databases.execute(own_database, install.made("pillion_inbox"))
    received(doctor, settings)
    assert doctor.one("inbox.database")["level"] == "ok"
    assert "inbox.dead" not in json.dumps(doctor.findings)
    await databases.execute(own_database, DEAD)
    received(doctor, settings)
    assert doctor.one("inbox.dead")["found"] == "1 wait for a person"


DEAD = """
INSERT INTO pillion_inbox.inbox_partition (consumer, topic, partition) VALUES ('payments', 'orders', 0);
INSERT INTO pillion_inbox.inbox_dead
  (consumer, topic, partition, digest, id, source, type, headers, body, size, reason, attempts)
VALUES ('payments', 'orders', 0, 'x', '1', '/orders', 'created', '', 'hunter2', 7, 'refused with 422', 1)
"""
