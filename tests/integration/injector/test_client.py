"""The client against an API server that answers well, badly, late, too much, or not at all."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.config.secret import Secret
from agent.demo.backing import free_port
from agent.inject.cluster import client as client_module
from agent.inject.cluster import errors
from agent.inject.cluster.access import Access
from agent.inject.cluster.client import Client
from agent.inject.cluster.kinds import LEASES, NAMESPACES
from agent.inject.cluster.mirror import Mirror
from agent.inject.pods import pods
from agent.runtime.errors import Permanent, Transient
from agent.runtime.health import Board, State
from agent.runtime.latest import Latest
from tests.integration.injector.cluster import TOKEN, ApiServer
from tests.serving import closed
from tests.waiting import until


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with ApiServer(tmp_path / "cluster").running() as server:
        yield server


@pytest.fixture
async def client(cluster: ApiServer) -> AsyncIterator[Client]:
    url = f"https://127.0.0.1:{cluster.port}"
    access = Access(url, Secret("token", TOKEN), str(cluster.account / "ca.crt"))
    async with Client(access) as made:
        yield made


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Client]:
    """A client of a server that answers everything so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        async with Client(Access(f"http://127.0.0.1:{port}")) as made:
            yield made
    finally:
        await closed(runner)


def pod(name: str, phase: str = "Running", node: str = "a") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": phase}}


async def test_a_list_is_read_page_by_page(cluster: ApiServer, client: Client) -> None:
    for n in range(client_module.PAGE * 2 + 7):
        cluster.put(f"/api/v1/pods/p{n}", pod(f"p{n}", "Failed" if n == 3 else "Running"))
    found = await pods(client)
    assert len(found) == client_module.PAGE * 2 + 6
    assert len([call for call in cluster.calls if call == ("GET", "/api/v1/pods")]) == 3
    assert (found[0].uid, found[0].node, found[0].namespace) == ("uid-p0", "a", "shop")


async def test_a_list_with_a_pod_that_is_none_is_an_error_and_no_shorter_list(
    cluster: ApiServer, client: Client
) -> None:
    """A sweep takes who is not in the list for dead."""
    cluster.put("/api/v1/pods/good", pod("good"))
    cluster.put("/api/v1/pods/bad", {"metadata": {"name": "bad"}})
    with pytest.raises(Transient, match="not the API server's"):
        await pods(client)


async def test_a_pod_whose_deletion_is_over_is_dead_although_its_lost_node_can_not_say_so(
    cluster: ApiServer, client: Client
) -> None:
    """The API server keeps it until the node is removed; the time is when its grace ends."""
    for name, over in (("lost", "2026-03-01T11:58:59Z"), ("ending", "2026-03-01T11:59:01Z"), ("well", None)):
        one = pod(name)
        one["metadata"]["deletionTimestamp"] = over
        cluster.put(f"/api/v1/pods/{name}", one)
    found = await pods(client, now=datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert {one.name for one in found} == {"ending", "well"}


async def test_who_writes_second_hears_of_it(cluster: ApiServer, client: Client) -> None:
    lease = {"metadata": {"name": "l", "namespace": "pillion"}, "spec": {"holderIdentity": "one"}}
    made = await client.create(LEASES, lease, "pillion")
    with pytest.raises(errors.Taken):
        await client.create(LEASES, lease, "pillion")
    await client.replace(LEASES, {**made, "spec": {"holderIdentity": "two"}})
    with pytest.raises(errors.Conflict):
        await client.replace(LEASES, {**made, "spec": {"holderIdentity": "three"}})
    found = await client.get(LEASES, "l", "pillion")
    assert found["spec"]["holderIdentity"] == "two"


async def test_a_server_that_is_not_there_is_a_transient_error() -> None:
    async with Client(Access(f"http://127.0.0.1:{free_port()}")) as nobody:
        with pytest.raises(Transient, match=r"GET /version at the API server http://127\.0\.0\.1:\d+ failed"):
            await nobody.ask("/version")


async def test_a_server_of_another_ca_is_not_spoken_to(cluster: ApiServer) -> None:
    async with Client(Access(f"https://127.0.0.1:{cluster.port}", Secret("token", TOKEN))) as stranger:
        with pytest.raises(Transient, match="certificate verify failed"):
            await stranger.ask("/version")
    assert cluster.calls == []


async def test_a_wrong_token_is_denied_and_not_repeated_in_the_text(cluster: ApiServer) -> None:
    access = Access(
        f"https://127.0.0.1:{cluster.port}", Secret("token", "hunter2"), str(cluster.account / "ca.crt")
    )
    async with Client(access) as stranger:
        with pytest.raises(errors.Denied) as caught:
            await stranger.get(NAMESPACES, "shop")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"\xff", b"{" * 100_000])
async def test_an_answer_that_is_none_is_a_transient_error_without_its_text(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with answering(answer) as asked:
        with pytest.raises(Transient, match="not the API server's"):
            await asked.get(NAMESPACES, "shop")
        with pytest.raises(Transient, match="not the API server's"):
            await asked.list(NAMESPACES, dict)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LIMIT", 100_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async with answering(answer) as asked:
        with pytest.raises(Transient, match="more than 100000 bytes"):
            await asked.get(NAMESPACES, "shop")


async def test_an_answer_that_does_not_come_is_given_up() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with answering(answer) as asked:
        with pytest.raises(Transient, match=r"no answer within 0\.2 s"):
            async with asked._asked("GET", "/version", timeout=0.2):
                pass


async def test_a_server_that_takes_up_no_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stands still: its kernel takes the connection, and nobody answers to TLS."""
    monkeypatch.setattr(client_module, "CONNECT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as still:
        async with Client(Access(f"https://127.0.0.1:{still.getsockname()[1]}")) as asked:
            with pytest.raises(Transient, match=r"no connection within 0\.2 s"):
                await asked.ask("/version")


async def test_a_redirect_is_not_followed() -> None:
    """The token would go with it."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"})

    async with answering(answer) as asked:
        with pytest.raises(Permanent, match="302"):
            await asked.ask("/version")


class Watched:
    """A mirror of namespaces' labels, running."""

    def __init__(self, client: Client, lasts: float = 300.0) -> None:
        self.seen: Latest[Any] = Latest(None)
        self.board = Board(lambda: 0.0)
        self.failures = 0
        self.mirror = Mirror(
            "namespaces", client, NAMESPACES, _labels, self.seen,
            health=self.board.of("namespaces"), failed=self._failed, lasts=lasts,
        )  # fmt: skip

    def _failed(self) -> None:
        self.failures += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(self.mirror.run(ready.set))
        try:
            async with asyncio.timeout(30):
                await ready.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, expected: dict[str, dict[str, str]]) -> None:
        await until(lambda: self.seen.value == expected, within=20)


def _labels(one: dict[str, Any]) -> dict[str, str]:
    if "bad" in one["metadata"]["name"]:
        raise ValueError("is bad")
    labels: dict[str, str] = one["metadata"].get("labels", {})
    return labels


async def test_a_mirror_follows_every_change(cluster: ApiServer, client: Client) -> None:
    cluster.namespace("a", x="1")
    watched = Watched(client)
    async with watched.running():
        assert watched.seen.value == {"a": {"x": "1"}}
        cluster.namespace("b", x="2")
        await watched.until({"a": {"x": "1"}, "b": {"x": "2"}})
        cluster.namespace("a", x="3")
        await watched.until({"a": {"x": "3"}, "b": {"x": "2"}})
        cluster.drop("/api/v1/namespaces/b")
        await watched.until({"a": {"x": "3"}})
        assert len([call for call in cluster.calls if call == ("GET", "/api/v1/namespaces")]) == 2


async def test_a_mirror_misses_nothing_between_watches(cluster: ApiServer, client: Client) -> None:
    watched = Watched(client, lasts=1.0)
    async with watched.running():
        for n in range(30):
            cluster.namespace(f"n{n}")
            await asyncio.sleep(0.05)
        await until(lambda: len(watched.seen.value) == 30)
        assert watched.failures == 0


async def test_a_mirror_whose_place_is_forgotten_lists_anew(cluster: ApiServer, client: Client) -> None:
    cluster.namespace("a")
    watched = Watched(client)
    async with watched.running():
        cluster.gone = True
        cluster.cut_watches()
        await until(lambda: not cluster.gone)
        cluster.namespace("b")
        await watched.until({"a": {}, "b": {}})


async def test_a_mirror_keeps_its_copy_while_the_server_is_away(cluster: ApiServer, client: Client) -> None:
    cluster.namespace("a")
    watched = Watched(client)
    async with watched.running():
        cluster.broken["/"] = 503
        cluster.cut_watches()
        await until(lambda: watched.board.reports["namespaces"].state is State.DEGRADED)
        assert watched.seen.value == {"a": {}}
        assert "stays in use" in watched.board.reports["namespaces"].detail
        cluster.broken.clear()
        cluster.namespace("b")
        await watched.until({"a": {}, "b": {}})
        assert watched.board.reports["namespaces"].state is State.OK
        assert watched.failures > 0


async def test_an_object_that_can_not_be_used_is_left_out_alone(cluster: ApiServer, client: Client) -> None:
    cluster.namespace("bad-1")
    cluster.namespace("a")
    watched = Watched(client)
    async with watched.running():
        cluster.namespace("bad-2")
        cluster.namespace("b")
        await watched.until({"a": {}, "b": {}})


@pytest.mark.parametrize(
    "line",
    [b"text", b"[]", b'{"type": "ADDED"}', b'{"type": 7, "object": {}}', b'{"type": "ERROR", "object": {}}'],
)
async def test_an_event_that_is_none_begins_the_watch_anew(line: bytes) -> None:
    watches = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal watches
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        if watches > 1:
            event = {"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "2"}}}
            await response.write(json.dumps(event).encode() + b"\n")
            await asyncio.sleep(60)
        await response.write(line + b"\n")
        return response

    async with answering(answer) as asked:
        watched = Watched(asked)
        async with watched.running():
            await watched.until({"a": {}})
            assert watched.failures == 1


async def test_a_watch_that_ends_at_once_is_not_begun_without_a_pause() -> None:
    watches = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal watches
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        watches += 1
        return web.Response()

    async with answering(answer) as asked:
        watched = Watched(asked)
        async with watched.running():
            await until(lambda: watches > 0)
            await asyncio.sleep(1.0)
    assert watches <= 6
