"""From a relay that spreads a topic to several instances that share it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Broker, Changes, Outbox
from agent.outbox import brokers
from agent.outbox.database import Database
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay, boot_clock
from agent.outbox.sql.install import SESSION, Installer
from agent.runtime.health import Board
from tests.integration.outbox.inbox.rig import Rig, until

PARTITIONS = 4


async def test_two_instances_share_the_partitions_of_a_relays_topic_and_keep_the_order_of_each_key(
    rig: Rig,
) -> None:
    rig.start_service()
    await rig.sql.execute("CREATE TABLE orders (id bigint PRIMARY KEY, version int)")
    outbox = Outbox(
        database=rig.database,
        changes=(Changes(table="orders", topic=f"{rig.stream}.orders"),),
        broker=Broker(url=rig.nats_url, stream=rig.stream),
        partitions=PARTITIONS,
    )
    await Installer(Database(lambda: rig.database, settings=SESSION), outbox, lambda _: None, 20).install(
        None
    )
    relay = Relay(
        outbox, service="shop", identity="relay", url=lambda: rig.database, broker=brokers.make(outbox.broker, "shop"),
        health=Board(boot_clock).of("relay"), metrics=Metrics(CollectorRegistry()),
    )  # fmt: skip
    settings = msgspec.structs.replace(rig.settings(partitions=PARTITIONS), outbox=outbox)
    async with running(relay), rig.inbox(settings, "one"), rig.inbox(settings, "two"):
        await until(lambda: shared(rig, 2))
        for version in range(5):
            for key in range(20):
                await rig.sql.execute(
                    "INSERT INTO orders VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET version = $2",
                    key,
                    version,
                )
        await until(lambda: len(rig.called()) == 100)
        await rig.until_acknowledged()
    sequences = defaultdict(list)
    for note in rig.noted():
        headers = {name.lower(): value for name, value in note["headers"].items()}
        sequences[note["key"]].append(headers["ce-sequence"])
    assert len(sequences) == 20
    assert all(found == sorted(found) and len(found) == 5 for found in sequences.values())


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run(lambda: None))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def shared(rig: Rig, share: int) -> bool:
    rows = await rig.sql.fetch(
        "SELECT split_part(owner, '/', 1) AS who, count(*) FROM pillion_inbox.inbox_partition "
        "WHERE owner IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    found = {row["who"]: row["count"] for row in rows}
    assert found == {"one": share, "two": share}, found
    return True


async def test_an_instance_that_leaves_gives_its_share_to_the_other_at_once(rig: Rig) -> None:
    rig.start_service()
    settings = rig.settings(partitions=PARTITIONS, lease=30.0)
    two = rig.inbox(settings, "two")
    async with rig.inbox(settings, "one"):
        # With beats every 5 s the second one waits for a look of the first.
        async with two:
            await until(lambda: shared(rig, 2))
        rows = await rig.sql.fetch("SELECT FROM pillion_inbox.member")
        assert len(rows) == 1
        for partition in range(PARTITIONS):
            await rig.publish(f"e{partition}", partition=partition)
        await rig.until_called(*(f"e{partition}" for partition in range(PARTITIONS)), within=25)


async def test_an_instance_that_lost_its_connection_when_another_came_keeps_no_partition_that_it_does_not_read(
    rig: Rig,
) -> None:
    """It may have more than a fair share by then, and all that is written down as its own is closed to the other."""
    rig.start_service()
    settings = rig.settings(partitions=PARTITIONS, lease=4.0)
    async with rig.inbox(settings, "one"):
        owned = "SELECT count(owner) FROM pillion_inbox.inbox_partition"

        async def are_owned(count: int) -> bool:
            return await rig.sql.fetchval(owned) == count

        await until(lambda: are_owned(PARTITIONS))
        beats = asyncio.create_task(beating(rig))
        try:
            # Alive, and so slow that it takes nothing: what is left to it must be free.
            await rig.sql.execute(
                "INSERT INTO pillion_inbox.member (consumer, id, beat) VALUES ('stock', 'slow/1', 0)"
            )
            await rig.sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pillion' "
                "AND datname = current_database()"
            )
            await until(lambda: are_owned(PARTITIONS // 2))
        finally:
            beats.cancel()
            await asyncio.wait([beats])
        for partition in range(PARTITIONS):
            await rig.publish(f"e{partition}", "k", partition)
        await rig.until_called(*(f"e{partition}" for partition in range(PARTITIONS)))


async def beating(rig: Rig) -> None:
    session = await asyncpg.connect(rig.database)
    try:
        while True:
            await session.execute("UPDATE pillion_inbox.member SET beat = beat + 1 WHERE id = 'slow/1'")
            await asyncio.sleep(0.2)
    finally:
        session.terminate()
