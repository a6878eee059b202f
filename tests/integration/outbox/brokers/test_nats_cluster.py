"""A NATS cluster of three: one server is killed, or its stream gets another leader, while events are on their way."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
import nats.errors
import pytest
from nats.js.errors import APIError

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from tests.integration.outbox.bench import Arrived, Bench, read_stream
from tests.integration.outbox.brokers.carrier import Patient, carrying, check, events
from tests.integration.outbox.brokers.nats_cluster import NatsCluster
from tests.integration.outbox.brokers.rig import HURRIED, Stored
from tests.integration.outbox.history import History, Verdict
from tests.integration.outbox.history import check as check_history
from tests.integration.outbox.test_history import prepared, writers
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("broker-nats-cluster")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[NatsCluster]:
    found = NatsCluster(tmp_path)
    try:
        await found.start()
        yield found
    finally:
        await asyncio.to_thread(found.stop)


def broker_of(cluster: NatsCluster, place: str, **more: object) -> brokers.Broker:
    settings = Broker(url=cluster.url, stream=place, timeout=HURRIED)
    return brokers.make(msgspec.structs.replace(settings, **more), "shop", durable=True)


async def arrived(cluster: NatsCluster, stream: str) -> list[Arrived]:
    """All of a stream; a cluster that just lost a server may not answer at once."""
    port = next(cluster.ports[name] for name, each in cluster.servers.items() if each.pid is not None)

    async def all_there() -> tuple[list[Arrived]]:
        try:
            return (await read_stream(f"nats://127.0.0.1:{port}", stream),)
        except (nats.errors.Error, APIError, TimeoutError) as error:
            raise AssertionError(str(error)) from error

    (found,) = await until(all_there, within=60, every=0.5)
    return found


async def read(cluster: NatsCluster, place: str) -> list[Stored]:
    return [
        Stored(
            each.subject,
            each.headers.get("ce-partitionkey"),
            {name.removeprefix("ce-").lower(): unquote(value) for name, value in each.headers.items()},
            each.body,
        )
        for each in await arrived(cluster, place)
    ]


@pytest.mark.parametrize(
    "fault", ["the leader is killed", "the server that we speak to is killed", "leader moved"]
)
async def test_nothing_is_lost_or_inverted_when_the_cluster_changes_amid_the_events(
    cluster: NatsCluster, fault: str
) -> None:
    place = f"p{uuid.uuid4().hex[:10]}"
    await cluster.make(place)
    leader = await cluster.leader(place)
    tasks: list[asyncio.Task[None]] = []

    def happen() -> None:
        if fault == "leader moved":
            tasks.append(asyncio.create_task(cluster.step_down(place)))
        else:
            cluster.servers[leader if "leader" in fault else "n0"].kill()

    sent = events(place, 4000, 40)
    carrier = Patient(
        broker_of(cluster, place), topics=frozenset({f"{place}.orders"}), at=(800, happen), timeout=HURRIED
    )
    try:
        await carrier.carry(sent)
    finally:
        await asyncio.gather(*tasks)
    assert carrier.refused == {}
    check(sent, await read(cluster, place), duplicates=40 * carrier.rounds)


async def test_two_servers_of_three_are_enough_and_one_is_not(cluster: NatsCluster) -> None:
    """Without a majority nothing is acknowledged; it goes on by itself when there is one again."""
    place = f"p{uuid.uuid4().hex[:10]}"
    await cluster.make(place)
    sent = events(place, 600, 20)

    def lose_two() -> None:
        for name in ("n0", "n1"):
            cluster.servers[name].kill()

    carrier = Patient(
        broker_of(cluster, place), topics=frozenset({f"{place}.orders"}), at=(200, lose_two), timeout=HURRIED
    )
    async with carrying(carrier, sent, within=200):
        await until(lambda: carrier.rounds > 1, within=60)
        await until(lambda: any("has no leader just now" in each for each in carrier.reasons), within=60)
        assert carrier.told < len(sent)
        await asyncio.to_thread(cluster.servers["n0"].start)
    assert carrier.refused == {}
    check(sent, await read(cluster, place), duplicates=20 * carrier.rounds)


async def test_a_relay_with_writers_goes_on_when_the_leader_is_killed(
    cluster: NatsCluster, bench: Bench
) -> None:
    await cluster.make(bench.stream)
    settings = await prepared(bench, "changes", page=100, require_durable=True)
    settings = msgspec.structs.replace(
        settings, broker=msgspec.structs.replace(settings.broker, url=cluster.url, create=False)
    )
    log = History()
    work = writers(bench, "changes", log)
    async with bench.relay(settings):
        work.start()
        await until(lambda: len(log.committed) > 200, within=60)
        cluster.servers[await cluster.leader(bench.stream)].kill()
        await until(lambda: len(log.committed) > 500, within=60)
        await work.stop()

        async def all_there() -> Verdict:
            verdict = check_history(log, await arrived(cluster, bench.stream))
            assert not verdict.missing, verdict
            return verdict

        verdict = await until(all_there, within=60, every=0.5)
    assert not verdict.phantom
    assert not verdict.inversions
