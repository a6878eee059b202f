"""Data lost and brought back from the backups, with the commands that an operator has."""

import asyncio
import json
import time
import uuid

import aiohttp
from prometheus_client import parser

from agent.demo import readings
from agent.demo.traffic import Client
from tests.commands import CommandError, run
from tests.compose import books
from tests.compose.engine import Project
from tests.compose.start import settle
from tests.compose.system import ComposeSystem
from tests.record import Record
from tests.waiting import until

WRITERS = ("orders-v1", "orders-v1-agent", "orders-v2", "orders-v2-agent", "backup-postgres")
PATIENCE = 180.0


async def test_a_lost_database_comes_back_and_nothing_is_lost_or_told_twice_in_silence(
    system: ComposeSystem, client: Client, record: Record
) -> None:
    project = system.project
    await system.well(client, PATIENCE)
    for _ in range(5):
        await _order(client)
    kept = await asyncio.to_thread(books.orders, project)
    await until(lambda: _told(system, kept), 30, every=0.5)
    assert "shop-" in await asyncio.to_thread(project.once, "backup-postgres", "backup")
    for _ in range(3):
        await _order(client)
    lost = await asyncio.to_thread(books.orders, project) - kept
    before = await until(lambda: _told(system, kept | lost), 30, every=0.5)

    began = time.monotonic()
    await asyncio.to_thread(_lose, project, "postgres", WRITERS)
    await asyncio.to_thread(project.compose, "up", "-d", "postgres")
    await until(lambda: asyncio.to_thread(_healthy, project, "postgres"), 60, every=0.5)
    await asyncio.to_thread(project.execute, "postgres", "sh", "/backup/postgres.sh", "restore")
    await asyncio.to_thread(project.compose, "up", "-d")
    await asyncio.to_thread(settle, project, PATIENCE)
    assert await asyncio.to_thread(books.orders, project) == kept

    await until(lambda: _answers(client), 60, every=0.5)
    await _order(client)
    await until(lambda: _stopped(system), 60, every=1)
    problem = await asyncio.to_thread(_problem, project)
    assert (await books.events(system.nats)).ids == before.ids, "the relay went on by itself"
    said = json.loads(await asyncio.to_thread(_adopt, project))
    took = time.monotonic() - began
    await _order(client)
    now = await asyncio.to_thread(books.orders, project)
    after = await until(lambda: _told(system, now), 60, every=0.5)

    again = sum(count - 1 for count in after.ids.values())
    record.section(
        "PostgreSQL's volume lost and restored",
        [
            f"{took:.0f} s until it was adopted",
            f"the relay waited: {problem}",
            f"adopt: {said}",
            f"{again} events again",
        ],
    )
    assert len(now) == len(kept) + 2
    assert set(after.created) == now | lost
    assert again <= said[0]["unpublished"]


async def test_a_lost_consul_comes_back_with_its_keys_and_tokens(
    system: ComposeSystem, client: Client, record: Record
) -> None:
    project, value = system.project, uuid.uuid4().hex
    await system.well(client, PATIENCE)
    assert await _key(system, "PUT", value) == "true"
    assert "consul-" in await asyncio.to_thread(project.once, "backup-consul", "backup")
    began = time.monotonic()
    await asyncio.to_thread(_lose, project, "consul", ("backup-consul",))
    await asyncio.to_thread(project.compose, "up", "-d")
    await asyncio.to_thread(project.once, "backup-consul", "restore")
    await asyncio.to_thread(settle, project, PATIENCE)
    await system.well(client, PATIENCE)
    record.section("Consul's volume lost and restored", [f"all well after {time.monotonic() - began:.0f} s"])
    assert await _key(system, "GET") == value


def _lose(project: Project, server: str, others: tuple[str, ...]) -> None:
    """Destroy a server and its data; ``others`` are stopped before."""
    project.compose("stop", *others)
    # The container that handed the volume to the server's user has it mounted, though it has ended.
    project.compose("rm", "--stop", "--force", server, "secrets")
    (volume,) = run("docker", "volume", "ls", "-q", "--filter", f"name={project.name}_{server}-data").split()
    run("docker", "volume", "rm", volume)


def _healthy(project: Project, service: str) -> bool:
    return project.container(service).state == "healthy"


async def _stopped(system: ComposeSystem) -> bool:
    """Whether the relay publishes nothing, and says so."""
    text = await system.metrics("orders-v2")
    found = {family.name: family for family in parser.text_string_to_metric_families(text)}
    return any(sample.value for sample in found["pillion_outbox_stopped_buckets"].samples)


def _problem(project: Project) -> str:
    """Why, as the operator's command tells it."""
    try:
        said = project.once("orders-outbox", "status")
    except CommandError as error:
        return str(error).splitlines()[-1]
    raise AssertionError(f"the outbox has no problem: {said}")


def _adopt(project: Project) -> str:
    """What compose/README.md says to do after a restore; the adoption's figures."""
    project.once("orders-outbox", "init", "--role", "pillion_relay")
    return project.once("orders-outbox", "adopt", "--restored", "--json")


async def _order(client: Client) -> None:
    answer = await client.send("POST", "/shop/checkout", body={"sku": "cup"})
    assert answer.status == 201, answer.body


async def _answers(client: Client) -> bool:
    return (await client.get("/shop")).status == 200


async def _told(system: ComposeSystem, orders: set[books.Order]) -> books.Events | None:
    """All events, once every one of the orders is among them."""
    told = await books.events(system.nats)
    return told if set(told.created) >= orders else None


async def _key(system: ComposeSystem, method: str, value: str = "") -> str:
    """One key of the store, read or written."""
    url = f"{system.consul}/v1/kv/config/_shared/marker?raw"
    headers = readings.asking(system.token)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, data=value or None) as answer,
    ):
        return (await answer.text()).strip()
