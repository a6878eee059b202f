"""The stories of an agent, each with its resources open."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from agent.config.settings import Settings
from agent.registry import client, definition, login
from agent.runtime.component import Component
from agent.runtime.errors import Misconfigured
from agent.runtime.health import Board
from agent.tracing import export, spans
from agent.wiring.base import SLACK, Around, Base
from agent.wiring.gateway import Gateway
from agent.wiring.sidecar import Sidecar

__all__ = ["Around", "gateway", "sidecar", "stop_time"]


def stop_time(settings: Settings) -> float:
    """Seconds that the whole of a stop may take with these settings, everything going wrong."""
    return settings.registry.spread + settings.proxy.drain_time + settings.service.stop_timeout + SLACK


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
        provider = await stack.enter_async_context(
            spans.setup(around.settings, export.Metrics(base.collectors))
        )
        yield Sidecar(base, command, reading, telling, provider.get_tracer("pillion")).story()


@asynccontextmanager
async def gateway(around: Around, board: Board) -> AsyncIterator[tuple[Component, ...]]:
    """The components of a gateway, in the order of their start. Raises Misconfigured."""
    async with client.connect(around.settings.registry) as reading:
        yield Gateway(Base(around, board), reading).story()
