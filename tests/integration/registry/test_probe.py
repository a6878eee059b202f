"""The health check of a real small HTTP service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from agent.config.sections.service import Service
from agent.demo import backing
from agent.model.registration import ServiceHealth
from agent.registry.metrics import Metrics
from agent.registry.probe import Probe
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.registry.side import ended, running
from tests.serving import closed
from tests.waiting import until


class Small:
    """A service whose health is what ``answer`` says."""

    def __init__(self) -> None:
        self.port = backing.free_port()
        self.status = 200
        self.delay = 0.0
        self.paths: list[str] = []
        self.answered: list[int] = []
        """The statuses of its answers."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await closed(self._runner)

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        await asyncio.sleep(self.delay)
        status = self.status
        self.answered.append(status)
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def probing(
    port: int, path: str = "/health", failures: int = 3, timeout: float = 10.0
) -> AsyncIterator[Latest[ServiceHealth]]:
    """A probe that asks every 50 ms."""
    state = Latest(ServiceHealth())
    settings = Service(
        name="s",
        port=port,
        health_path=path,
        health_interval=0.05,
        health_timeout=timeout,
        health_failures=failures,
    )
    board = Board(lambda: 0.0)
    task = await running(Probe(settings, state, board.of("probe"), Metrics(CollectorRegistry())))
    try:
        yield state
    finally:
        await ended(task)


@pytest.fixture
async def small() -> AsyncIterator[Small]:
    service = Small()
    try:
        yield service
    finally:
        await service.stop()


async def test_the_first_success_is_healthy_at_once_whenever_the_service_starts(small: Small) -> None:
    async with probing(small.port) as state:
        await until(lambda: state.value.detail.startswith("the service can't be reached"))
        await small.start()
        await until(lambda: state.value.healthy)


@pytest.mark.parametrize("status", [200, 204, 302, 399])
async def test_2xx_and_3xx_are_well_and_a_redirect_is_not_followed(small: Small, status: int) -> None:
    small.status = status
    await small.start()
    async with probing(small.port) as state:
        await until(lambda: state.value.healthy)
    assert set(small.paths) == {"/health"}


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_only_failures_in_a_row_make_it_unwell_and_one_success_well_again(
    small: Small, status: int
) -> None:
    await small.start()
    async with probing(small.port, failures=3) as state:
        await until(lambda: state.value.healthy)
        small.status = status
        await until(lambda: not state.value.healthy)
        assert small.answered.count(status) >= 3
        assert state.value.detail == f"the service answered /health with {status}"
        small.status = 200
        await until(lambda: state.value.healthy)


async def test_an_answer_after_the_timeout_is_a_failure(small: Small) -> None:
    await small.start()
    async with probing(small.port, failures=1, timeout=0.2) as state:
        await until(lambda: state.value.healthy)
        small.delay = 0.5
        await until(lambda: "did not answer /health within 0.2 s" in state.value.detail)
        assert not state.value.healthy


async def test_without_a_path_a_connect_is_enough(small: Small) -> None:
    small.status = 500
    await small.start()
    async with probing(small.port, path="", failures=1) as state:
        await until(lambda: state.value.healthy)
        await small.stop()
        await until(lambda: "nothing accepts connections" in state.value.detail)
        assert not state.value.healthy


async def test_the_environments_proxy_is_ignored(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecar itself sets HTTP_PROXY for the service; the probe must not come back through it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    await small.start()
    async with probing(small.port) as state:
        await until(lambda: state.value.healthy)


async def test_a_service_that_is_held_is_unwell_whatever_it_answers_and_well_again_by_a_later_answer(
    small: Small,
) -> None:
    await small.start()
    state, board = Latest(ServiceHealth()), Board(lambda: 0.0)
    settings = Service(
        name="s", port=small.port, health_path="/health", health_interval=60, health_timeout=60
    )
    probe = Probe(settings, state, board.of("probe"), Metrics(CollectorRegistry()))
    task = await running(probe)
    try:
        await until(lambda: state.value.healthy)
        asked, small.delay = len(small.paths), 0.3
        probe.resume()  # a check begins, of the service as it was
        await until(lambda: len(small.paths) > asked)
        probe.hold("it is restarted")
        assert state.value == ServiceHealth(False, "it is restarted")
        probe.resume()
        asked = len(small.paths)
        assert not state.value.healthy
        await until(lambda: state.value.healthy)
        assert len(small.paths) > asked, "not by the check that began before"
    finally:
        await ended(task)
