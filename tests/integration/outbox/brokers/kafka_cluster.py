"""Three Kafka nodes, each broker and controller."""

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from agent.demo import backing
from agent.demo.process import Process
from tests.integration.outbox.brokers.kafka_rig import stored
from tests.integration.outbox.brokers.rig import Stored
from tests.ports import free_port
from tests.waiting import until

_JAVA = "-Xms96m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
_ID = "MkU3OEVBNTcwNTJENDM2Qg"


class KafkaCluster:
    """Nodes by their number from 1 on."""

    def __init__(self, folder: Path) -> None:
        self.ports = {number: free_port() for number in (1, 2, 3)}
        self._controllers = {number: free_port() for number in self.ports}
        self._env = {**os.environ, "JAVA_OPTS": _JAVA}
        self.nodes = {number: self._node(folder, number) for number in self.ports}

    def _node(self, folder: Path, number: int) -> Process:
        voters = ",".join(f"{each}@127.0.0.1:{port}" for each, port in self._controllers.items())
        lines = {
            "process.roles": "broker,controller",
            "node.id": str(number),
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "listeners": f"PLAIN://127.0.0.1:{self.ports[number]},CONTROLLER://127.0.0.1:{self._controllers[number]}",
            "advertised.listeners": f"PLAIN://127.0.0.1:{self.ports[number]}",
            "listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(folder / f"data{number}"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "log.retention.ms": "-1",
            "num.network.threads": "2",
            "num.io.threads": "2",
            "log.cleaner.enable": "false",
        }
        file = folder / f"{number}.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        program = backing.binary("kafka")
        made = subprocess.run(
            [program, "kafka.tools.StorageTool", "format", "-t", _ID, "-c", str(file)],
            capture_output=True, text=True, check=False, env=self._env,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        argv = [program, "kafka.Kafka", str(file)]
        return Process(f"Kafka {number}", argv, folder / f"kafka{number}.log", env=self._env)

    @property
    def url(self) -> str:
        """All of them, as ``outbox.broker.url`` has them."""
        return "kafka://" + ",".join(f"127.0.0.1:{port}" for port in self.ports.values())

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.url.removeprefix("kafka://"), "log_level": 0})

    async def start(self) -> None:
        """Start, and wait until all of them are known to each other."""
        for each in self.nodes.values():
            each.launch()

        def whole() -> bool:
            try:
                return len(self.admin().list_topics(timeout=2).brokers) == len(self.nodes)
            except KafkaException:
                return False

        await until(lambda: asyncio.to_thread(whole), within=150, every=0.5)

    def stop(self) -> None:
        for each in self.nodes.values():
            each.kill()

    async def make(self, topic: str, replicas: int = 3, **config: str) -> None:
        """A topic of one partition."""
        named = {key.replace("_", "."): value for key, value in config.items()}
        admin = self.admin()  # what it is asked ends with it
        for each in admin.create_topics([NewTopic(topic, 1, replicas, config=named)]).values():
            await asyncio.to_thread(each.result, 60)

        async def led() -> bool:
            return await self.leader(topic) is not None

        await until(led, within=60, every=0.2)

    async def leader(self, topic: str) -> int | None:
        """Which node leads the topic's partition; None while no node knows one."""

        def look() -> int | None:
            try:
                found = self.admin().list_topics(topic, timeout=10).topics[topic].partitions.get(0)
            except KafkaException:
                return None
            return found.leader if found is not None and found.leader in self.nodes else None

        return await asyncio.to_thread(look)

    async def until_led_by_another(self, topic: str, former: int) -> None:
        """Wait until whoever is asked says so: a node may know of a former leader for a while."""

        async def another() -> bool:
            return await self.leader(topic) not in (None, former)

        await until(another, within=60, every=0.5)

    async def read(self, topic: str) -> list[Stored]:
        """All messages of the topic."""
        return await asyncio.to_thread(self._read, topic)

    def _read(self, topic: str) -> list[Stored]:
        consumer = Consumer({
            "bootstrap.servers": self.url.removeprefix("kafka://"), "group.id": "suite",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "log_level": 0,
        })  # fmt: skip
        try:
            place = TopicPartition(topic, 0, 0)
            end = consumer.get_watermark_offsets(place, timeout=60)[1]
            consumer.assign([place])
            found: list[Any] = []
            deadline = time.monotonic() + 120
            # That a node is gone comes among the messages, and is no end of them.
            while not found or found[-1].offset() < end - 1:
                assert time.monotonic() < deadline, f"{len(found)} of {end} messages of {topic} could be read"
                found += [each for each in consumer.consume(end, timeout=2) if each.error() is None]
            return [stored(each) for each in found]
        finally:
            consumer.close()
