"""A Redis that is full, a replica, a member of a cluster, or closed to the relay's user."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
import redis.asyncio

from agent.config.sections.outbox import Broker
from agent.demo.process import Process
from agent.outbox import brokers
from agent.runtime.errors import Permanent, PillionError, Transient
from tests.integration.outbox.brokers.carrier import Carrier, Counting, check, events
from tests.integration.outbox.brokers.redis_rig import patient, stored
from tests.integration.outbox.brokers.rig import UNHURRIED, Stored
from tests.integration.outbox.brokers.scripted import Told, serving
from tests.integration.outbox.brokers.test_durable import refusal, refused
from tests.ports import free_port
from tests.waiting import until

TOPICS = frozenset({"p.orders"})

Start = Callable[..., int]
"""Starts a server with these words of configuration and returns its port."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Servers of the test's own."""
    binary = shutil.which("redis-server")
    if binary is None:
        reason = "redis-server is not installed; Debian's package redis-server brings it"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    running: list[Process] = []

    def begin(*words: str) -> int:
        port = free_port()
        folder = tmp_path / str(port)
        folder.mkdir()

        def answers() -> bool:
            try:
                with redis.Redis(port=port) as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        argv = [
            binary,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--save",
            "",
            *words,
        ]
        running.append(Process("Redis", argv, folder / "redis.log", answers=answers))
        running[-1].start()
        return port

    yield begin
    for each in running:
        each.stop()


@pytest.fixture
async def server(start: Start) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of a server with nothing special."""
    async with patient(start()) as client:
        yield client


def url(client: redis.asyncio.Redis, before: str = "", after: str = "") -> str:
    return f"redis://{before}127.0.0.1:{client.connection_pool.connection_kwargs['port']}{after}"


def made(url: str, **settings: Any) -> brokers.Broker:
    return brokers.make(Broker(**{"url": url, "create": True, "timeout": UNHURRIED, **settings}), "shop")


async def read(client: redis.asyncio.Redis) -> list[Stored]:
    return [stored(b"p.orders", fields) for _, fields in await client.xrange("p.orders")]


async def opened(broker: brokers.Broker) -> PillionError | None:
    """The error that a link ends in before it begins."""
    try:
        async with broker.link(Counting(lambda: None), TOPICS):
            return None
    except PillionError as error:
        return error


async def healing(client: redis.asyncio.Redis, break_it: str, mend_it: str) -> Carrier:
    """Carry while the first command breaks the server amid the events, and the second mends it at a loss."""
    port = client.connection_pool.connection_kwargs["port"]

    def ask(command: str) -> None:
        with redis.Redis(port=port) as other:
            other.execute_command(*command.split())

    sent = events("p", 600, 20)
    carrier = Carrier(
        made(url(client)), topics=TOPICS, at=(200, lambda: ask(break_it)), lost=lambda: ask(mend_it)
    )
    await carrier.carry(sent)
    check(sent, await read(client), duplicates=20 * len(carrier.losses))
    assert carrier.refused == {}
    return carrier


@pytest.mark.parametrize(
    ("setting", "said"),
    [("maxmemory", "its memory is full"), ("min-replicas-to-write", "fewer replicas follow it")],
)
async def test_what_redis_does_not_take_for_a_while_is_waited_out_and_costs_no_order(
    server: redis.asyncio.Redis, setting: str, said: str
) -> None:
    carrier = await healing(server, f"CONFIG SET {setting} 1", f"CONFIG SET {setting} 0")
    assert any(said in each for each in carrier.losses)


async def test_a_primary_that_becomes_a_replica_is_left(server: redis.asyncio.Redis, start: Start) -> None:
    other = start()
    told = Told()
    async with made(url(server)).link(told, TOPICS) as link:
        await server.execute_command("REPLICAOF", "127.0.0.1", other)
        link.send(0, events("p", 1)[0])
        await until(lambda: told.losses, within=30)
    assert "name its primary" in told.losses[0]
    error = await opened(made(url(server)))
    assert isinstance(error, Transient)
    assert "name its primary" in str(error)


async def warned(client: redis.asyncio.Redis, **settings: Any) -> tuple[str, ...]:
    async with made(url(client), **settings).link(Counting(lambda: None), TOPICS) as link:
        return link.warnings


async def test_nothing_is_warned_of_where_a_replica_has_each_event(
    server: redis.asyncio.Redis, start: Start
) -> None:
    await server.config_set("appendonly", "yes")
    await server.config_set("appendfsync", "always")
    (warning,) = await warned(server, replicas=1)
    assert "no replica" in warning
    port = server.connection_pool.connection_kwargs["port"]
    other = start("--replicaof", "127.0.0.1", str(port))

    async def without() -> bool:
        return await warned(server, replicas=1) == ()

    await until(without, within=60)
    sent = events("p", 200, 20)
    carrier = Carrier(made(url(server), replicas=1), topics=TOPICS)
    await carrier.carry(sent)
    assert carrier.losses == []
    async with patient(other) as replica:
        check(sent, await read(replica), duplicates=0)


async def test_without_the_replicas_that_are_asked_for_nothing_counts_as_published(
    server: redis.asyncio.Redis, start: Start
) -> None:
    sent = events("p", 40, 4)
    port = server.connection_pool.connection_kwargs["port"]
    said = "0 of 1 replicas have it; see outbox.broker.replicas"
    followers: list[int] = []

    def follow() -> None:
        if not followers and any(said in each for each in carrier.losses):
            followers.append(start("--replicaof", "127.0.0.1", str(port)))

    carrier = Carrier(made(url(server), replicas=1, timeout=1.0), topics=TOPICS, lost=follow)
    await carrier.carry(sent)
    assert followers
    check(sent, await read(server), duplicates=4 * len(carrier.losses))


async def test_a_redis_that_forgets_is_warned_of(server: redis.asyncio.Redis) -> None:
    await server.config_set("maxmemory", "100mb")
    await server.config_set("maxmemory-policy", "allkeys-lru")
    async with made(url(server)).link(Counting(lambda: None), TOPICS) as link:
        said = " ".join(link.warnings)
    assert "appendonly yes" in said
    assert "noeviction" in said


async def test_a_member_of_a_cluster_is_named_as_not_supported(start: Start) -> None:
    error = await opened(made(f"redis://127.0.0.1:{start('--cluster-enabled', 'yes')}"))
    assert isinstance(error, Permanent)
    assert "Cluster, which is not supported" in str(error)


async def test_a_user_with_the_least_rights_publishes_and_is_told_what_can_not_be_looked_at(
    server: redis.asyncio.Redis,
) -> None:
    await server.execute_command(
        *["ACL", "SETUSER", "relay", "on", ">hunter2", "~p.*", "+xadd", "+ping", "+exists"]
    )
    broker = made(url(server, "relay:hunter2@"))
    sent = events("p", 40, 4)
    await Carrier(broker, topics=TOPICS).carry(sent)
    check(sent, await read(server), duplicates=0)
    async with broker.link(Counting(lambda: None), TOPICS) as link:
        assert "can't be looked at" in link.warnings[0]


async def test_a_topic_beyond_the_users_rights_is_refused_and_no_other(server: redis.asyncio.Redis) -> None:
    await server.execute_command(*["ACL", "SETUSER", "relay", "on", ">hunter2", "~p.*", "+@all"])
    told = Told()
    async with made(url(server, "relay:hunter2@")).link(told, TOPICS) as link:
        link.send(0, events("hunter", 1)[0])
        link.send(1, events("p", 1)[0])
        await until(lambda: told.count == 2, within=30)
    assert told.done == [1]
    assert told.refusals == {0: "Redis says: the user has no right to its topic (NOPERM)"}


async def test_a_user_without_any_right_to_publish_loses_the_link(server: redis.asyncio.Redis) -> None:
    await server.execute_command(*["ACL", "SETUSER", "relay", "on", ">hunter2", "~*", "+@all", "-xadd"])
    told = Told()
    async with made(url(server, "relay:hunter2@")).link(told, TOPICS) as link:
        link.send(0, events("p", 1)[0])
        await until(lambda: told.losses, within=30)
    assert "no right to XADD" in told.losses[0]
    assert told.count == 0


async def test_the_database_of_the_url_is_used_and_one_that_is_missing_named(
    server: redis.asyncio.Redis,
) -> None:
    await Carrier(made(url(server, after="/3")), topics=TOPICS).carry(events("p", 5))
    assert await read(server) == []
    await server.select(3)
    assert len(await read(server)) == 5
    error = await opened(made(url(server, after="/99")))
    assert isinstance(error, Permanent)
    assert "no database" in str(error)


async def test_a_password_that_nobody_asked_for_is_named(server: redis.asyncio.Redis) -> None:
    error = await opened(made(url(server, ":hunter2@")))
    assert isinstance(error, Permanent)
    assert "outbox.broker.url" in str(error)
    assert "hunter2" not in str(error)


async def test_what_is_no_redis_at_all_is_an_error() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(talk) as port:
        error = await opened(made(f"redis://127.0.0.1:{port}"))
    assert isinstance(error, Transient)
    assert "not Redis" in str(error)


ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (ALWAYS, ""),
        (("--appendonly", "no"), "no append-only file"),
        (("--appendonly", "yes", "--appendfsync", "everysec"), "before its append-only file is on the disk"),
        ((*ALWAYS, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), "may drop whole streams"),
    ],
)
async def test_where_it_is_asked_for_only_a_server_that_writes_before_it_answers_is_taken(
    start: Start, words: tuple[str, ...], reason: str
) -> None:
    settings = Broker(url=f"redis://127.0.0.1:{start(*words)}", create=True, timeout=5.0)
    told = await refused(settings, "p.orders") if reason else await refusal(settings, "p.orders")
    assert reason in told
    assert bool(reason) is bool(told)


async def test_where_it_is_asked_for_replicas_must_be_waited_for(start: Start) -> None:
    port = start(*ALWAYS, "--repl-diskless-sync-delay", "0")
    start(*ALWAYS, "--replicaof", f"127.0.0.1 {port}")
    settings = Broker(url=f"redis://127.0.0.1:{port}", create=True, timeout=5.0)

    async def followed() -> bool:
        return "no replica is waited for" in await refusal(settings, "p.orders")

    await until(followed, within=60)
    assert not await refusal(msgspec.structs.replace(settings, replicas=1), "p.orders")


async def test_where_it_is_asked_for_a_server_must_let_itself_be_looked_at(start: Start) -> None:
    port = start(*ALWAYS, "--user", "relay", "on", ">pw", "~*", "+@all", "-info", "-config")
    settings = Broker(url=f"redis://relay:pw@127.0.0.1:{port}", create=True, timeout=5.0)
    assert "can't be looked at" in await refused(settings, "p.orders")
