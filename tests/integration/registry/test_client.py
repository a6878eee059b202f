"""The client against servers that are not what they should be, and against a Consul that hangs."""

import asyncio
import os
import signal
import socket
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.config.sections.registry import Registry
from agent.demo import backing
from agent.registry import client
from agent.registry.client import Client
from agent.registry.sockets import GONE, watched
from agent.runtime.errors import Permanent, PillionError, Transient
from tests.integration.registry.servers import Servers
from tests.integration.registry.side import AWAY, Side, call, settings_of, sides
from tests.serving import closed
from tests.waiting import until

SECRET = "3f1c9f7e-secret-token"


class Odd:
    """A server that answers everything with what a test says, and notes what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"null"
        self.headers = {"X-Consul-Index": "7"}
        self.asked: list[web.Request] = []
        self.url = ""
        self.cut = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        if self.cut and request.transport is not None:
            request.transport.abort()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def odd() -> AsyncIterator[Odd]:
    server = Odd()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await closed(runner)


async def ask_everything(consul: Client) -> list[object]:
    """Every question once; errors are returned."""
    definition = {"Name": "n", "ID": "i", "Address": "a", "Port": 1, "Tags": [], "Meta": {}, "Check": {}}
    questions = [
        consul.agent_address(), consul.service("i"), consul.register(definition), consul.deregister("i"),
        consul.tell("service:i", True, "note"), consul.instances("n", 3, 1), consul.services(3, 1),
        consul.checks(3, 1), consul.values("config/n/", 3, 1), consul.value("pillion/n", 3, 1),
        consul.newer("n", 3), consul.led("n"), consul.identity(),
    ]  # fmt: skip
    return [await asyncio.gather(question, return_exceptions=True) for question in questions]


async def test_every_question_carries_the_token_in_its_header_and_never_in_its_url(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where py-consul forgets it, and whatever the environment says."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "of-the-environment")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://203.0.113.1:1")
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    async with client.connect(Registry(address=odd.url, token=SECRET)) as consul:
        await ask_everything(consul)
    assert len(odd.asked) == 13
    assert all(request.headers["X-Consul-Token"] == SECRET for request in odd.asked)
    assert not any(SECRET in str(request.url) for request in odd.asked)


async def test_a_token_file_is_read_again_when_it_changed(odd: Odd, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with client.connect(Registry(address=odd.url, token_file=str(file))) as consul:
        await consul.deregister("i")
        file.write_text("second and longer\n")
        await until(lambda: consul.credentials == 2)
        await consul.deregister("i")
        file.unlink()
        await consul.deregister("i")
    given = [request.headers["X-Consul-Token"] for request in odd.asked]
    assert given == ["first", "second and longer", "second and longer"]


async def test_without_a_readable_token_nothing_is_asked_as_anybody(odd: Odd, tmp_path: Path) -> None:
    """Consul answers who is nobody with empty lists, which would empty the catalogue."""
    async with client.connect(Registry(address=odd.url, token_file=str(tmp_path / "token"))) as consul:
        with pytest.raises(Transient, match=r"registry\.token_file names"):
            await consul.services()
    assert odd.asked == []


async def test_a_token_that_no_header_can_hold_is_refused_without_being_shown(odd: Odd) -> None:
    async with client.connect(Registry(address=odd.url, token=f"{SECRET}\r\nX: y")) as consul:
        with pytest.raises(Permanent, match=r"check registry\.token") as raised:
            await consul.deregister("i")
    assert SECRET not in str(raised.value)
    assert not odd.asked


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b"{}", b"3", b'"x"', b"[1,null,{}]", b"\xff\xfe", b"[" * 100_000]
)
@pytest.mark.parametrize("index", ["7", "x", ""])
async def test_what_is_not_consuls_answer_is_an_error_of_ours_and_nothing_else(
    odd: Odd, body: bytes, index: str
) -> None:
    odd.body, odd.headers = body, {"X-Consul-Index": index} if index else {}
    async with client.connect(Registry(address=odd.url, token=SECRET)) as consul:
        for (result,) in await ask_everything(consul):
            if isinstance(result, BaseException):
                assert isinstance(result, PillionError), result
                assert SECRET not in str(result)


async def test_an_answer_that_is_known_is_not_read_and_any_other_is(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DEADLINE", 100.0)  # so much takes a busy machine seconds
    odd.body = b"[" * 100_000_000  # more than is taken
    async with client.connect(Registry(address=odd.url)) as consul:
        assert await consul.checks(7, 1) == (7, None)
        assert await consul.newer("n", 7) == (7, None)
        for question in (consul.checks(6, 1), consul.checks(), consul.newer("n", 6), consul.newer("n", 0)):
            with pytest.raises(Transient, match="more than"):
                await question
        odd.body = b'[{"ServiceName": "n", "Status": "passing"}]'
        index, marks = await consul.checks(6, 1)
        assert (index, list(marks or ())) == (7, ["n"])
        assert await consul.newer("n", 6) == (7, [{"ServiceName": "n", "Status": "passing"}])


async def test_the_leader_is_asked_also_where_any_server_may_answer(tmp_path: Path) -> None:
    servers = Servers(tmp_path, discovery_max_stale="1h")
    try:
        await asyncio.to_thread(servers.start)
        entry = {"Node": "n", "Address": "127.0.0.1", "Service": {"ID": "orders-1", "Service": "orders"}}
        leader = await until(servers.leader)
        call(leader.url, "/v1/catalog/register", entry, "PUT")
        follower = next(one for one in servers.all if one is not leader)
        async with client.connect(Registry(address=follower.url)) as consul:

            async def there() -> bool:
                return bool((await consul.instances("orders"))[1])

            await until(there)
            assert await consul.led("orders") == await consul.instances("orders")
            for one in servers.all:
                if one is not follower:
                    await asyncio.to_thread(one.kill)

            async def leaderless() -> bool:
                return not await consul.leader()

            await until(leaderless, within=60)
            assert await there()
            with pytest.raises(Transient):
                await consul.led("orders")
    finally:
        await asyncio.to_thread(servers.stop)


async def test_an_answer_that_is_not_understood_is_not_quoted(odd: Odd) -> None:
    odd.body = b'[{"Key": "config/n/password", "Value": "hunter2"'

    async with client.connect(Registry(address=odd.url)) as consul:
        with pytest.raises(Transient) as raised:
            await consul.values("config/n/")
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (500, Transient, "failed with 500: No cluster leader"),
        (429, Transient, "too many connections"),
        (403, Permanent, "give registry.token the rights"),
        (400, Permanent, "was refused with 400"),
        (302, Permanent, "was refused with 302"),
    ],
)
async def test_statuses_become_errors_that_say_what_was_asked_and_what_came_back(
    odd: Odd, status: int, kind: type[PillionError], text: str
) -> None:
    odd.status, odd.body, odd.headers = status, b"No cluster leader\n", {"Location": "http://203.0.113.1/"}
    async with client.connect(Registry(address=odd.url)) as consul:
        before = consul.breaks
        with pytest.raises(kind) as raised:
            await consul.services()
        assert text in str(raised.value)
        assert f"GET /v1/catalog/services at Consul {odd.url}" in str(raised.value)
        assert consul.breaks == before + (kind is Transient)
    assert len(odd.asked) == 1


async def test_a_blocking_query_that_is_cut_off_is_an_error_not_asked_again_with_its_old_index(
    odd: Odd,
) -> None:
    """aiohttp repeats a GET by itself when its connection breaks; the index would be outdated."""
    odd.body = b"{}"
    async with client.connect(Registry(address=odd.url)) as consul:
        assert await consul.services(0, 0) == (7, [])
        odd.cut = True
        with pytest.raises(Transient):
            await consul.services(7, 30)
    assert len(odd.asked) == 2


async def test_a_registration_that_a_hanging_consul_holds_up_is_degraded_and_recovers(
    own_consul: backing.Consul,
) -> None:
    settings = settings_of(own_consul.url, "orders", registry={"ttl": 1.5})
    side = Side(settings)
    async with sides(side):
        await side.start()
        assert own_consul.pid is not None
        os.kill(own_consul.pid, signal.SIGSTOP)
        try:
            await until(lambda: "did not answer within 5 s" in side.detail("registrar"))
        finally:
            os.kill(own_consul.pid, signal.SIGCONT)
        await until(lambda: side.detail("registrar") == "ok: ")


async def test_leaving_while_consul_hangs_ends_in_bounded_time(own_consul: backing.Consul) -> None:
    side = Side(settings_of(own_consul.url, "orders"))
    async with sides(side):
        await side.start()
        assert own_consul.pid is not None
        os.kill(own_consul.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            await side.leave()
            assert time.monotonic() - began < AWAY
        finally:
            os.kill(own_consul.pid, signal.SIGCONT)
        assert side.drained == ["the instance is leaving"]


async def test_each_connection_asks_whether_consul_is_still_there(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/integration/registry/test_dead_peer.py shows what it is good for, where one may make networks."""
    options: list[tuple[int, int]] = []

    def noted(where: tuple[Any, ...]) -> socket.socket:
        made = watched(where)
        asks = made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options.append((asks, made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)))
        return made

    monkeypatch.setattr("agent.registry.transport.watched", noted)
    odd.body = b"{}"
    async with client.connect(Registry(address=odd.url)) as consul:
        assert await consul.services() == (7, [])
        await consul.tell("service:i", True, "note")
    assert options == [(1, GONE), (1, GONE)]
