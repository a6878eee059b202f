"""From a relay that spreads a topic to several instances that share it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import CollectorRegistry

from agent.config.sections.outbox import Broker, Changes, Outbox
from agent.outbox import brokers
from agent.outbox.database import Database
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay, boot_clock
from agent.outbox.sql.install import SESSION, Installer
from agent.runtime.health import Board
from tests.integration.outbox.inbox.rig import Rig
from tests.waiting import until

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
        await until(lambda: shared(rig, 2), within=20)
        for version in range(5):
            for key in range(20):
                await rig.sql.execute(
                    "INSERT INTO orders VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET version = $2",
                    key,
                    version,
                )
        await until(lambda: len(rig.called()) == 100, within=30)
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
            await until(lambda: shared(rig, 2), within=30)
        rows = await rig.sql.fetch("SELECT FROM pillion_inbox.member")
        assert len(rows) == 1
        for partition in range(PARTITIONS):
            await rig.publish(f"e{partition}", partition=partition)
        await rig.until_called(*(f"e{partition}" for partition in range(PARTITIONS)), within=15)
