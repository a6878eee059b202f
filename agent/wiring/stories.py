"""The stories of an agent, each with its resources open."""

import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from agent.config.settings import Settings
from agent.registry import client, definition, login
from agent.runtime.component import Component
from agent.runtime.errors import Misconfigured
from agent.runtime.health import Board
from agent.tracing.metrics import Metrics
from agent.wiring.base import Around, Base
from agent.wiring.gateway import Gateway
from agent.wiring.sidecar import Sidecar

__all__ = ["Around", "gateway", "sidecar"]


@asynccontextmanager
async def sidecar(
    around: Around, command: tuple[str, ...], board: Board
) -> AsyncIterator[tuple[Component, ...]]:
    """The components of an agent beside a service, in the order of their start.

    ``command`` is the service's, if any. The resources are open within the block. Raises Misconfigured.
    """
    if problems := definition.problems(around.settings):
        raise Misconfigured(problems)
    async with AsyncExitStack() as stack:
        base = Base(around, board)
        registry = around.settings.registry
        token = await stack.enter_async_context(login.credentials(registry))
        reading = await stack.enter_async_context(client.connect(registry, token=token))
        telling = await stack.enter_async_context(client.connect(registry, token=token))
        provider = await _provider(stack, around.settings, Metrics(base.collectors))
        yield Sidecar(base, command, reading, telling, provider.get_tracer("pillion")).story()


async def _provider(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> TracerProvider:
    """Where tracers come from; only events have spans of the agent's own, so that only then it is loaded."""
    if not (settings.outbox.tables or settings.outbox.changes or settings.inbox.topics):
        return NoOpTracerProvider()
    spans = importlib.import_module("agent.tracing.spans")
    provider: TracerProvider = await stack.enter_async_context(spans.setup(settings, metrics))
    return provider


@asynccontextmanager
async def gateway(around: Around, board: Board) -> AsyncIterator[tuple[Component, ...]]:
    """The components of a gateway, in the order of their start. Raises Misconfigured."""
    async with client.connect(around.settings.registry) as reading:
        yield Gateway(Base(around, board), reading).story()
