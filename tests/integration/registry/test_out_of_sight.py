"""Instances whose client agent the servers of real Consul lost sight of; the instances live."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.registry.servers import Member, Servers
from tests.integration.registry.side import call
from tests.integration.registry.test_watcher import drop, put, watching
from tests.waiting import until


@pytest.fixture(scope="module")
def servers(server_folder: Path) -> Iterator[Servers]:
    made = Servers(server_folder / "sight")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def client(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Member]:
    made = servers.client(request.node.name.replace("_", "-"))
    made.start(60)
    yield made
    made.kill()


def nodes_check(servers: Servers, name: str) -> list[str]:
    """The states of the service's checks which Consul makes of a node by itself."""
    rows = call(servers.all[0].url, f"/v1/health/service/{name}?stale")  # also while nobody leads
    return [check["Status"] for row in rows for check in row["Checks"] if check["CheckID"] == "serfHealth"]


async def test_the_instances_of_a_client_agent_that_died_stay_in_use_until_it_is_back(
    servers: Servers, client: Member
) -> None:
    put(client, "orders", "orders-1")
    async with watching(servers.all[0], "orders") as seen, watching(servers.all[0], keep_last=0) as strict:
        await until(lambda: seen.ids("orders") == strict.ids("orders") == ["orders-1"])
        await asyncio.to_thread(client.kill)
        await until(lambda: seen.word.startswith("degraded: Consul lost orders"), within=60)
        await until(lambda: nodes_check(servers, "orders") == ["critical"])
        assert seen.ids("orders") == ["orders-1"]
        await until(lambda: strict.ids("orders") == [])  # shows that without the rule nobody would be called
        await asyncio.to_thread(client.start, 60)
        await until(lambda: seen.word == "ok: ", within=60)
        await until(lambda: nodes_check(servers, "orders") == ["passing"])
        assert seen.ids("orders") == ["orders-1"]
        drop(client, "orders-1")
        await until(lambda: seen.ids("orders") == [])


async def test_an_agent_that_starts_while_they_are_out_of_sight_calls_them_too(
    servers: Servers, client: Member
) -> None:
    put(client, "inventory", "inventory-1", Meta={"pillion-routes": "/stock"})
    await until(lambda: nodes_check(servers, "inventory") == ["passing"])
    await asyncio.to_thread(client.kill)
    await until(lambda: nodes_check(servers, "inventory") == ["critical"], within=60)
    async with watching(servers.all[1], "inventory") as seen:
        await until(lambda: seen.ids("inventory") == ["inventory-1"])
        service = seen.service("inventory")
        assert service is not None
        assert (service.stale, service.routes) == (True, ("/stock",))


async def test_one_that_fails_by_its_own_check_is_not_called_for_being_out_of_sight(
    servers: Servers, client: Member
) -> None:
    put(client, "payments", "payments-1", Status="critical")
    await until(lambda: nodes_check(servers, "payments") == ["passing"])
    async with watching(servers.all[0], "payments") as seen:
        await until(lambda: seen.word == "ok: ")
        await asyncio.to_thread(client.kill)
        await until(lambda: nodes_check(servers, "payments") == ["critical"], within=60)
        put(servers.all[0], "payments", "payments-2", Address="10.0.0.2")  # by then the answer was taken in
        await until(lambda: seen.ids("payments") == ["payments-2"])
        drop(servers.all[0], "payments-2")
        await until(lambda: seen.ids("payments") == [])
