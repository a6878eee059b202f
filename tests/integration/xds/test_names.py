"""An Envoy whose DNS server says nothing."""

import socket

import aiohttp

from agent.demo.backing import free_port
from tests.integration.xds.rig import Agent, Envoy, backend, snapshot
from tests.integration.xds.test_delivery import answer


async def test_a_collector_whose_name_nobody_knows_holds_up_no_configuration(
    agent: Agent, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        envoy = Envoy(agent.folder, otlp="http://collector.example:4318", resolver=silent.getsockname()[1])
        async with agent.running(), backend("one") as one:
            envoy.start()
            try:
                await agent.in_force(snapshot(port, {"a": [one]}), within=60)
                assert await answer(http, port) == "200 one"
            finally:
                envoy.kill()
