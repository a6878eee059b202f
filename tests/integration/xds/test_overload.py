"""An Envoy that holds more memory than it may."""

import aiohttp

from agent.demo.backing import free_port
from agent.proxy.admin import EnvoyAdmin
from tests.integration.xds.rig import Agent, Envoy, backend, snapshot
from tests.integration.xds.test_delivery import answer
from tests.waiting import until


async def test_beyond_its_heap_limit_requests_are_refused_and_the_agent_still_reaches_it(
    agent: Agent, http: aiohttp.ClientSession
) -> None:
    """Refused are requests only: configuration arrives, and the metrics say what is wrong."""
    port = free_port()
    full = Envoy(agent.folder, heap_limit=1)
    async with agent.running(), backend("one") as one:
        full.start()
        try:
            await agent.in_force(snapshot(port, {"a": [one]}))
            await until(lambda: _overloaded(http, port))
            await agent.in_force(snapshot(port, {"a": [one]}, timeout="2s"))
            told = await EnvoyAdmin(full.admin).metrics()
            assert "envoy_overload_envoy_overload_actions_stop_accepting_requests_active{} 1" in told
        finally:
            full.kill()


async def _overloaded(http: aiohttp.ClientSession, port: int) -> bool:
    return await answer(http, port) == "503 envoy overloaded"
