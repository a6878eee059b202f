"""The end of a connection to NATS right after thousands of acknowledgements, on a real server."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StreamConfig

from agent.config.sections.inbox import InboxBroker
from agent.demo import backing
from agent.outbox.inbox import sources
from agent.outbox.inbox.message import Parcel
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources import nats_stream
from tests.integration.outbox.inbox.sources.feeds import CONSUMER

MANY = 5000
"""So many that the server is not done with all of them when it answers a PING."""
AT_ONCE = 100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[backing.Nats]:
    """One of the test's own, which it may break."""
    server = backing.Nats(tmp_path)
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    async def quiet(_error: Exception) -> None:
        return

    client = await nats.connect(url, allow_reconnect=False, error_cb=quiet, connect_timeout=20)
    try:
        yield client
    finally:
        await client.close()


async def published(client: Client, count: int, retention: RetentionPolicy) -> str:
    """A new stream of so many messages; its name, which is also what its topic begins with."""
    name = f"i{uuid.uuid4().hex[:10]}"
    stream = client.jetstream(timeout=20)
    await stream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"], retention=retention))
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*[await stream.publish_async(f"{name}.orders", b"{}") for _ in range(AT_ONCE)])
    return name


@asynccontextmanager
async def opened(url: str, name: str, count: int) -> AsyncIterator[tuple[sources.Stream, list[Parcel]]]:
    """The topic's messages, all fetched."""
    source = sources.make(InboxBroker(url=url, held=count), url, lambda: url, CONSUMER, 2.0)
    async with source.open(Place(f"{name}.orders", 0), alone=False) as stream:
        came: list[Parcel] = []
        while len(came) < count:
            came += await stream.fetch()
        yield stream, came


async def left(client: Client, name: str) -> int:
    [found] = await client.jetstream().consumers_info(name)
    return (found.num_ack_pending or 0) + (found.num_pending or 0)


@pytest.mark.parametrize("word", ["done", "dead"])
@pytest.mark.parametrize("retention", [RetentionPolicy.LIMITS, RetentionPolicy.WORK_QUEUE])
async def test_at_the_end_the_server_has_worked_off_all_acknowledgements(
    shared_nats: backing.Nats, retention: RetentionPolicy, word: Literal["done", "dead"]
) -> None:
    async with connected(shared_nats.url) as client:
        name = await published(client, MANY, retention)
        async with opened(shared_nats.url, name, MANY) as (stream, came):
            for each in came:
                await (stream.done(each) if word == "done" else stream.dead(each))
        assert await left(client, name) == 0


async def test_what_is_not_acknowledged_at_the_end_stays_with_the_server(shared_nats: backing.Nats) -> None:
    async with connected(shared_nats.url) as client:
        name = await published(client, AT_ONCE, RetentionPolicy.LIMITS)
        async with opened(shared_nats.url, name, AT_ONCE) as (stream, came):
            for each in came[:-1]:
                await stream.done(each)
        assert await left(client, name) == 1
        async with opened(shared_nats.url, name, 1) as (_, again):
            assert [each.number for each in again] == [came[-1].number]


@pytest.mark.parametrize("how", ["killed", "killed while it hangs", "another took it"])
async def test_an_end_waits_for_no_server_that_can_not_confirm(
    server: backing.Nats, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that a wait for it can't be taken for a busy machine.
    monkeypatch.setattr(nats_stream, "CLOSING", 60.0)
    async with connected(server.url) as client:
        name = await published(client, AT_ONCE, RetentionPolicy.LIMITS)
        async with opened(server.url, name, AT_ONCE) as (stream, came):
            if how == "killed while it hangs":
                assert server.pid is not None
                os.kill(server.pid, signal.SIGSTOP)
                asyncio.get_running_loop().call_later(0.2, server.kill)
            for each in came:
                await stream.done(each)
            if how == "killed":
                server.kill()
            elif how == "another took it":
                [found] = await client.jetstream().consumers_info(name)
                await client.jetstream().delete_consumer(name, found.name)
            began = time.monotonic()
        assert time.monotonic() - began < 30


async def test_an_end_waits_a_moment_only_for_a_server_that_hangs(server: backing.Nats) -> None:
    async with connected(server.url) as client:
        name = await published(client, AT_ONCE, RetentionPolicy.LIMITS)
        async with asyncio.timeout(30):
            async with opened(server.url, name, AT_ONCE) as (stream, came):
                assert server.pid is not None
                os.kill(server.pid, signal.SIGSTOP)
                for each in came:
                    await stream.done(each)
        server.kill()
