"""What Envoy's admin socket gives, and how the inbound drains."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.admin.exposition import exposition
from agent.demo.backing import free_port
from agent.proxy.admin import EnvoyAdmin
from agent.proxy.snapshot import Resource, Snapshot
from agent.runtime.errors import Transient
from tests.integration.xds.rig import Agent, Envoy, backend, cluster, endpoints, listener, routes
from tests.waiting import until


def inbound(inward: int, outward: int, service: int) -> Snapshot:
    """An inbound and an outbound listener in front of one service."""
    listeners: dict[str, Resource] = {
        "inbound": listener("inbound", inward, "r", "inbound", traffic_direction="INBOUND"),
        "outbound": listener("outbound", outward, "r", "outbound", traffic_direction="OUTBOUND"),
    }
    return Snapshot({"a": cluster("a")}, {"a": endpoints("a", service)}, listeners, {"r": routes("r", "a")})


async def get(port: int, path: str = "/") -> aiohttp.ClientResponse:
    """A request on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        await response.read()
        return response


async def refused(port: int) -> bool:
    """Whether a new connection is refused."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


async def test_it_tells_listeners_metrics_and_the_whole_configuration(agent: Agent, envoy: Envoy) -> None:
    inward, outward = free_port(), free_port()
    admin = EnvoyAdmin(envoy.admin)
    async with agent.running(), backend("one") as one:
        envoy.start()
        await agent.in_force(inbound(inward, outward, one))
        listening = await until(admin.listening)
        assert {name: address.port for name, address in listening.items()} == {
            "inbound": inward,
            "outbound": outward,
        }
        await get(inward)
        text = exposition(agent.collectors, await admin.metrics())
        families = {family.name for family in text_string_to_metric_families(text)}
        assert {"envoy_http_downstream_rq", "pillion_xds_streams"} <= families
        types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
        assert len(types) == len(set(types))
        assert "configs" in await admin.config_dump()


async def test_an_envoy_that_is_not_there_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="is Envoy running"):
        await EnvoyAdmin(tmp_path / "a.sock").listening()


async def test_an_announced_drain_closes_inbound_connections_after_their_response_only(
    agent: Agent, envoy: Envoy
) -> None:
    inward, outward = free_port(), free_port()
    admin = EnvoyAdmin(envoy.admin)
    async with agent.running(), backend("one") as one:
        envoy.start()
        await agent.in_force(inbound(inward, outward, one))
        assert (await get(inward)).headers.get("connection") is None
        await admin.announce()
        response = await get(inward)
        assert (response.status, response.headers.get("connection")) == (200, "close")
        assert (await get(outward)).headers.get("connection") is None


async def test_a_drain_lets_requests_in_flight_end_and_refuses_new_connections(
    agent: Agent, envoy: Envoy
) -> None:
    inward, outward = free_port(), free_port()
    admin, word = EnvoyAdmin(envoy.admin), asyncio.Event()
    async with agent.running(), backend("one", word) as one:
        envoy.start()
        await agent.in_force(inbound(inward, outward, one))
        slow = asyncio.create_task(get(inward, "/slow"))
        await until(lambda: _busy(admin))
        draining = asyncio.create_task(admin.drain(8.0))
        await until(lambda: refused(inward))
        assert not draining.done()
        word.set()
        assert (await slow).status == 200
        assert await draining
        assert (await get(outward)).status == 200


async def test_a_drain_ends_in_time_whatever_is_in_flight(agent: Agent, envoy: Envoy) -> None:
    inward, outward = free_port(), free_port()
    admin, word = EnvoyAdmin(envoy.admin), asyncio.Event()
    async with agent.running(), backend("one", word) as one:
        envoy.start()
        await agent.in_force(inbound(inward, outward, one))
        slow = asyncio.create_task(get(inward, "/slow"))
        await until(lambda: _busy(admin))
        async with asyncio.timeout(30):
            assert not await admin.drain(0.4)
        word.set()
        assert (await slow).status == 200


async def test_an_idle_inbound_drains_at_once(agent: Agent, envoy: Envoy) -> None:
    inward, outward = free_port(), free_port()
    async with agent.running():
        envoy.start()
        await agent.in_force(inbound(inward, outward, 1))
        async with asyncio.timeout(30):
            assert await EnvoyAdmin(envoy.admin).drain(200)


async def _busy(admin: EnvoyAdmin) -> bool:
    return (await admin.active())["rq"] == 1
