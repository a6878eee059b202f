"""The variant with Kafka: what its relay needs is started from nothing, and events arrive, also those that were made
while Kafka was away."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from confluent_kafka import Consumer, KafkaException, TopicPartition

from agent.demo.traffic import Client
from tests.commands import run
from tests.compose import layout, vault
from tests.compose.engine import Project, find_compose
from tests.compose.start import image_sizes, memory, settle
from tests.record import Record
from tests.waiting import until

TOPIC = "orders.orders"
SERVICES = ("jaeger", "kafka", "orders-v2", "inventory-a", "gateway")
"""With all that they depend on."""


@pytest.fixture(scope="module")
def kafka(record: Record) -> Iterator[Project]:
    """The variant's project, of which only this is started."""
    project = Project(layout.FILE, "pillion-kafka", find_compose(), layout.KAFKA)
    project.compose("down", "--volumes", "--remove-orphans")
    try:
        project.compose("build", within=1500)
        began = time.monotonic()
        project.compose("up", "-d", *SERVICES, within=600)
        settle(project, 300)
        record.section(
            "Kafka variant", [f"`up -d {' '.join(SERVICES)}` until healthy: {time.monotonic() - began:.0f} s"]
        )
        yield project
    finally:
        project.compose("down", "--volumes", "--remove-orphans")


@pytest_asyncio.fixture
async def client(kafka: Project) -> AsyncIterator[Client]:
    """Sends requests to the gateway."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        yield Client(session, f"http://127.0.0.1:{kafka.port('gateway', 10000)}")


@pytest.fixture
def events(kafka: Project) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Asks Kafka for all events so far, as the operator may from this machine."""
    password = kafka.once("secrets", "show", "kafka-operator").strip()
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{kafka.port('kafka', 9094)}", "group.id": "test", "log_level": 0,
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "operator",
            "sasl.password": password, "enable.auto.commit": False,
        }
    )  # fmt: skip
    yield lambda: _read(consumer)
    consumer.close()


def _read(consumer: Consumer) -> list[dict[str, Any]]:
    try:
        numbers = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        places = [TopicPartition(TOPIC, number, 0) for number in numbers]
        left = sum(consumer.get_watermark_offsets(each, timeout=10)[1] for each in places)
    except KafkaException as error:  # it is just starting
        raise AssertionError(str(error)) from error
    consumer.assign(places)
    found = []
    while left:
        messages = consumer.consume(left, timeout=10)
        assert messages
        left -= len(messages)
        for each in messages:
            assert each.error() is None
            headers = {name: value.decode() for name, value in each.headers()}
            found.append({**headers, "key": each.key().decode(), "data": json.loads(each.value())})
    return found


async def order(client: Client) -> int:
    """Place one; its number."""
    answer = await client.send("POST", "/api/v2/orders", body={"sku": "teapot", "quantity": 1})
    assert answer.status == 201, answer
    return int(answer.json["id"])


async def test_an_order_becomes_an_event_in_kafka(
    client: Client, events: Callable[[], list[dict[str, Any]]], record: Record, kafka: Project
) -> None:
    number = await until(lambda: order(client), within=60)

    async def there() -> list[dict[str, Any]]:
        return [each for each in await asyncio.to_thread(events) if each["data"]["after"]["id"] == number]

    [event] = await until(there, within=60, every=0.5)
    assert (event["ce_type"], event["ce_source"]) == ("orders.created", "/orders")
    assert event["key"] == event["ce_partitionkey"]
    used = memory(kafka)
    record.table("Kafka variant: memory", ["container", "used / limit"])
    for name in ("kafka", "orders-v2-agent"):
        record.row([name, used[name]])
    for name, size in image_sizes(kafka).items():
        if "kafka" in name or "pillion" in name:
            record.row([name, f"{size / 1e6:.0f} MB"])
    assert "nats" not in kafka.containers()


async def test_what_is_ordered_while_kafka_is_down_arrives_once_it_is_back(
    client: Client, events: Callable[[], list[dict[str, Any]]], kafka: Project
) -> None:
    before = kafka.container("kafka").started
    run("docker", "kill", kafka.container("kafka").id)
    numbers = [await order(client) for _ in range(5)]
    run("docker", "start", kafka.container("kafka").id)
    await asyncio.to_thread(settle, kafka, 120)
    assert kafka.container("kafka").started > before

    async def there() -> bool:
        found = [each["data"]["after"]["id"] for each in await asyncio.to_thread(events)]
        assert {number for number in found if number in numbers} == set(numbers)
        return True

    await until(there, within=120, every=1)


def test_kafka_is_confined_published_here_alone_and_its_passwords_show_nowhere(kafka: Project) -> None:
    container = kafka.container("kafka")
    host = container.raw["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"]
    assert vault.users(container) == {1000}
    bound = [each for ports in container.raw["NetworkSettings"]["Ports"].values() for each in ports or ()]
    assert {each["HostIp"] for each in bound} == {"127.0.0.1"}
    found = vault.files(kafka)
    files = {file.path: file for file in found if "kafka" in file.path and "/operator/" not in file.path}
    assert {path: (file.user, file.mode) for path, file in files.items()} == {
        "/secrets/kafka/jaas.conf": (1000, 0o600),
        "/secrets/orders-v2-kafka/broker": (65532, 0o600),
    }
    secrets, texts = vault.values(found), vault.visible(kafka)
    shown = [
        f"{name} in the {where}" for where, text in texts.items() for name in secrets if secrets[name] in text
    ]
    assert shown == []
