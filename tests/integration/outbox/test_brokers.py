"""Events from real tables through a real relay into brokers that have no stream of their own."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
import redis.asyncio

from agent.config.sections.outbox import Broker, Changes, Outbox
from agent.demo.process import Process
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.brokers.scripted import TAKEN, Receiver, Request
from tests.ports import free_port
from tests.waiting import until

WRITERS, KEYS, EACH = 12, 24, 40


def settings(bench: Bench, broker: Broker) -> Outbox:
    """Changes of the table ``t`` to this broker."""
    made = bench.settings(changes=(Changes(table="t", topic="shop.t"),), page=100)
    return msgspec.structs.replace(made, broker=broker)


async def write(bench: Bench) -> None:
    """Each writer counts its keys up, a commit at a time, so that each key's versions are 1, 2, 3 …"""

    async def one(writer: int) -> None:
        connection = await bench.connect()
        for _ in range(EACH):
            for key in range(writer, KEYS, WRITERS):
                await connection.execute("UPDATE t SET version = version + 1 WHERE id = $1", key)

    await asyncio.gather(*(one(writer) for writer in range(WRITERS)))


async def prepare(bench: Bench, made: Outbox) -> None:
    await bench.service.execute("CREATE TABLE t (id int PRIMARY KEY, version int)")
    await bench.service.execute("INSERT INTO t SELECT n, 0 FROM generate_series(0, $1) n", KEYS - 1)
    await bench.init(made)


def check(bodies: list[bytes]) -> None:
    """All versions of each key are there, and first occurrences are in order."""
    lines: dict[int, list[int]] = {}
    for body in bodies:
        after = msgspec.json.decode(body)["after"]
        line = lines.setdefault(after["id"], [])
        if after["version"] not in line:
            line.append(after["version"])
    assert lines == {key: list(range(1, EACH + 1)) for key in range(KEYS)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Process]]:
    """A Redis that keeps everything, with its port."""
    binary = shutil.which("redis-server")
    if binary is None:
        reason = "redis-server is not installed; Debian's package redis-server brings it"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    port = free_port()

    def answers() -> bool:
        try:
            with redis.Redis(port=port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    argv += ["--appendonly", "yes", "--appendfsync", "always"]
    process = Process("Redis", argv, tmp_path / "redis.log", answers=answers)
    process.start()
    yield port, process
    process.stop()


async def test_a_redis_that_is_killed_while_twelve_write_has_every_event_in_order(
    bench: Bench, server: tuple[int, Process]
) -> None:
    port, process = server
    made = settings(bench, Broker(url=f"redis://127.0.0.1:{port}", create=True, timeout=2.0))
    await prepare(bench, made)
    async with bench.relay(made) as relay, redis.asyncio.Redis(port=port) as client:
        writing = asyncio.create_task(write(bench))

        async def length(least: int) -> bool:
            return bool(await client.xlen("shop.t") >= least)

        await until(lambda: length(100), within=60)
        process.kill()

        async def away() -> str:
            return (await relay.status())[0].problem

        await until(away)
        await asyncio.to_thread(process.start)
        await writing

        async def everything() -> bool:
            entries = await client.xrange("shop.t")
            return len({fields[b"id"] for _, fields in entries}) == KEYS * EACH

        await until(everything, within=90, every=0.2)
        check([fields[b"data"] for _, fields in await client.xrange("shop.t")])


async def test_a_receiver_that_fails_now_and_then_while_twelve_write_gets_every_event_in_order(
    bench: Bench,
) -> None:
    taken: list[Request] = []
    count = 0

    def script(request: Request) -> bytes:
        nonlocal count
        count += 1
        if count % 97 == 0:
            return b""
        if count % 61 == 0:
            return b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        taken.append(request)
        return TAKEN

    async with Receiver(script).running() as receiver:
        made = settings(bench, Broker(url=receiver.url, timeout=2.0))
        await prepare(bench, made)
        async with bench.relay(made):
            await write(bench)
            await until(lambda: len({each.id for each in taken}) == KEYS * EACH, within=90, every=0.2)
    assert {each.headers["pillion-topic"] for each in taken} == {"shop.t"}
    check([each.body for each in taken])
