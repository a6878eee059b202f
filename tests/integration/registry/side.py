"""One agent's registration, as its components in one loop, and what real Consul says of it."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.demo import backing
from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.revision import Revision
from agent.registry import client
from agent.registry.by_agent import AgentLedger
from agent.registry.by_catalog import CatalogLedger
from agent.registry.gate import Gate
from agent.registry.metrics import Metrics
from agent.registry.registrar import Registrar
from agent.runtime.component import Component
from agent.runtime.health import Board
from agent.runtime.latest import Latest

SERVING = Revision(sent="a", in_force="a", connected=True)
HEALTHY = ServiceHealth(True, "answers")
AWAY = 25.0
"""Seconds that leaving may take without Consul: the stop budgets of gate and registrar, and room for a busy machine."""


def settings_of(consul_url: str, name: str, **sections: Any) -> Settings:
    """Settings for one service beside one Consul; ``sections`` are merged into the document."""
    document = {
        "service": {"name": name, **sections.pop("service", {})},
        "registry": {
            "address": consul_url,
            "reconcile_interval": 1.0,
            "spread": 0.3,
            **sections.pop("registry", {}),
        },
        "proxy": {"inbound": "127.0.0.1:18080", **sections.pop("proxy", {})},
        **sections,
    }
    return msgspec.convert(document, Settings)


def call(url: str, path: str, body: object = None, method: str = "GET") -> Any:
    """Consul's JSON answer; None for an empty body or a 404."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return None


class View:
    """What Consul says of one service."""

    def __init__(self, consul: backing.Consul, name: str) -> None:
        self.url = consul.url
        self.name = name

    def entries(self) -> list[Any]:
        """All instances with their checks."""
        return call(self.url, f"/v1/health/service/{self.name}") or []

    def statuses(self) -> list[str]:
        """The state of each instance's own check."""
        return [
            check["Status"]
            for entry in self.entries()
            for check in entry["Checks"]
            if check["ServiceName"] == self.name
        ]


class Side:
    """Cells and components of one agent.

    ``crash`` is an agent that ends alone, ``leave`` a whole instance that leaves.
    """

    def __init__(self, settings: Settings, host: str = "host") -> None:
        self.settings = settings
        self.host = host
        self.verdicts = Latest(Verdict())
        self.service = Latest(HEALTHY)
        self.revision = Latest(SERVING)
        self.registration = Latest(Registration())
        self.leaving = Latest(False)
        self.draining = Latest(False)
        self.board = Board(lambda: 0.0)
        self.metrics = Metrics(CollectorRegistry())
        self.drained: list[str] = []
        self._stack = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, wait: bool = True) -> "Side":
        """Start registrar and gate; with ``wait`` the gate has opened when this returns."""
        consul = await self._stack.enter_async_context(client.connect(self.settings.registry))
        await self.run(self.registrar(consul))
        await self.run(self.gate(), wait)
        return self

    def registrar(self, consul: client.Client) -> Registrar:
        """The registrar on this side's cells."""
        registry, identity = self.settings.registry, self.settings.kubernetes
        ledger = (
            CatalogLedger(consul, identity)
            if registry.mode == "catalog"
            else AgentLedger(consul, registry, pinned=bool(identity.pod_uid))
        )
        return Registrar(
            ledger, self.settings, self.host, verdicts=self.verdicts, registration=self.registration,
            leaving=self.leaving, health=self.board.of("registrar"), metrics=self.metrics,
        )  # fmt: skip

    def gate(self) -> Gate:
        """The gate on this side's cells."""

        async def drain() -> None:
            self.drained.append(self.verdicts.value.note)

        registry = self.settings.registry
        return Gate(
            verdicts=self.verdicts, service=self.service, revision=self.revision,
            registration=self.registration, leaving=self.leaving, draining=self.draining,
            drain=drain, health=self.board.of("gate"),
            patience=registry.ttl, spread=registry.spread, drain_within=5.0,
        )  # fmt: skip

    async def run(self, component: Component, wait: bool = True) -> None:
        """Run a component; returns when it is ready."""
        self._tasks.append(await running(component, wait))

    async def crash(self) -> None:
        """End without a word."""
        for task in reversed(self._tasks):
            await ended(task)
        self._tasks.clear()
        await self._stack.aclose()

    async def leave(self) -> None:
        """Leave in order."""
        self.leaving.set(True)
        await self.crash()

    def detail(self, name: str) -> str:
        """What a component says of itself."""
        report = self.board.reports[name]
        return f"{report.state}: {report.detail}"


async def running(component: Component, wait: bool = True) -> "asyncio.Task[None]":
    """The task of a component that is ready; a component that ends meanwhile fails the test."""
    ready = asyncio.Event()
    task = asyncio.create_task(component.run(ready.set), name=component.name)
    if wait:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            await ended(task)
            raise AssertionError(f"{component.name} did not become ready")
    return task


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel a component's task and wait for its clean-up."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def sides(*made: Side) -> AsyncIterator[None]:
    """End the sides whatever happens."""
    try:
        yield
    finally:
        for side in made:
            await side.crash()


class Recorder:
    """Notes every distinct state of something while a test goes on, at the least that before it and that after it."""

    def __init__(self, look: Callable[[], Any]) -> None:
        self.seen: list[Any] = []
        self._look = look
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Recorder":
        await self._note()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._over.set()
        await self._task
        await self._note()

    async def _watch(self) -> None:
        while not self._over.is_set():
            await self._note()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self._over.wait()

    async def _note(self) -> None:
        with contextlib.suppress(OSError):
            value = await asyncio.to_thread(self._look)
            if not self.seen or self.seen[-1] != value:
                self.seen.append(value)


class Relay:
    """A way to Consul that a test can break while Consul itself goes on."""

    def __init__(self, port: int) -> None:
        self.port = port
        # Not one that the kernel chooses: it would give it to another connection while the way is broken.
        self._own = backing.free_port()
        self.address = f"127.0.0.1:{self._own}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Let connections through, at the same address each time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._own)

    def close(self) -> None:
        """Break all connections and take no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._known(writer):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
            with self._known(there_writer):
                pumps = _pump(reader, there_writer), _pump(there_reader, writer)
                await asyncio.gather(*pumps, return_exceptions=True)

    @contextlib.contextmanager
    def _known(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """A connection that ``close`` breaks, and that is gone afterwards whatever ends this; also one that was taken
        up just then."""
        self._writers.add(writer)
        if self._server is None:
            writer.transport.abort()
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


@contextlib.asynccontextmanager
async def relayed(relay: Relay) -> AsyncIterator[Relay]:
    """An open way, which is shut whatever happens."""
    await relay.open()
    try:
        yield relay
    finally:
        relay.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
