"""A gateway asks the agents of all instances, some of which are not what they say."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial

import pytest

from agent.admin.neighbours import LONGEST, Count, Neighbours
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.traffic import Traffic
from agent.proxy.planner import reach
from agent.runtime.latest import Latest

ANSWERS = {
    "shop": b'{"service":"shop","calls":{"orders":{"requests":5,"failed":1,"retries":0}}}',
    "liar": b'{"service":"shop","calls":{"orders":{"requests":1000}}}',
    "endless": b'{"service":"endless","calls":{},"x":"' + b"x" * LONGEST + b'"}',
    "moved": b"",
    "mute": b"",
}


async def answer(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As an agent does, or as somebody who means ill."""
    await reader.readuntil(b"\r\n\r\n")
    if name == "mute":
        await reader.read()
    elif name == "moved":
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    else:
        body = ANSWERS[name]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    writer.close()


async def mine() -> Mapping[str, Traffic]:
    return {"shop": Traffic((), 7, 0, 0)}


@pytest.fixture
async def ports() -> AsyncIterator[Mapping[str, int]]:
    """Where each of them answers."""
    async with AsyncExitStack() as stack:
        found = {}
        for name in ANSWERS:
            server = await asyncio.start_server(partial(answer, name), "127.0.0.1", 0)
            stack.callback(server.close)
            found[name] = server.sockets[0].getsockname()[1]
        yield found


async def test_what_is_told_is_added_up_and_who_tells_nothing_usable_is_named(
    ports: Mapping[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.admin.neighbours.TIMEOUT", 6.0)  # a busy machine takes a second to answer
    services = {}
    for name, port in ports.items():
        one = Instance(f"{name}-1", Address("127.0.0.1", 9000), metrics=port)
        services[name] = Service(name, (one, Instance(f"{name}-2", Address("127.0.0.1", 9001))))
    metadata = Instance("cloud", Address("169.254.169.254", 9000), metrics=80)
    services["cloud"] = Service("cloud", (metadata,))
    catalog = Latest(Catalog(services, known=True))
    neighbours = Neighbours("gateway", catalog, mine, lambda: 0.0, reach.gateway(Settings()).wrong)
    async with asyncio.timeout(60):  # one of them never answers
        calls = await neighbours.calls()
    assert calls.edges == {("gateway", "shop"): Count(7), ("shop", "orders"): Count(5, 1)}
    assert set(calls.silent) == {"liar-1", "endless-1", "moved-1", "mute-1"}
    assert calls.untold == len(ANSWERS) + 1
    assert await neighbours.calls() is calls
