"""Kafka for the suite: one node that is broker and controller, a listener for each way, and one of its own
without a password for the suite itself."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives import serialization as form

from agent.config.sections.outbox import Broker
from agent.demo import backing
from agent.demo.process import Process
from tests.integration.outbox.brokers.rig import PASSWORD, UNHURRIED, USER, Certificates, Stored, Way
from tests.ports import free_port
from tests.waiting import until

_JAVA = "-Xms128m -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.apache.logging.log4j.level=INFO"
_EARLIEST = 0


class Kafka(Process):
    """The server; what it stored survives stop and kill."""

    def __init__(self, folder: Path, certificates: Certificates, advertised: int) -> None:
        """``advertised`` is the port that clients of the way ``proxy`` are told."""
        self.plain, self.tls, self.proxied, self.own = (free_port() for _ in range(4))
        self._folder = folder
        self._file = folder / "server.properties"
        pem = folder / "server.pem"
        pem.write_bytes(_pkcs8(certificates.key.read_bytes()) + certificates.certificate.read_bytes())
        self._write(pem, advertised)
        program = backing.binary("kafka")
        self._env = {**os.environ, "JAVA_OPTS": _JAVA}
        made = subprocess.run(
            [program, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self._file)],
            capture_output=True, text=True, check=False, env=self._env,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        super().__init__(
            "Kafka", [program, "kafka.Kafka", str(self._file)], folder / "kafka.log", env=self._env,
            answers=self._up,
        )  # fmt: skip

    def _up(self) -> bool:
        try:
            return backing.tcp_ok(self.own) and bool(self.admin().list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": f"127.0.0.1:{self.own}", "log_level": 0})

    def _write(self, pem: Path, advertised: int) -> None:
        controller = free_port()
        listeners = {
            "PLAIN": self.plain, "TLS": self.tls, "PROXIED": self.proxied, "OWN": self.own,
            "CONTROLLER": controller,
        }  # fmt: skip
        told = {**listeners, "PROXIED": advertised}
        del told["CONTROLLER"]
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "OWN",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in told.items()),
            "listener.security.protocol.map": (
                "PLAIN:SASL_PLAINTEXT,PROXIED:SASL_PLAINTEXT,TLS:SASL_SSL,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "sasl.enabled.mechanisms": "PLAIN",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(pem),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
            "log.dirs": str(self._folder / "data"),
            "num.partitions": "3",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "2",
            "log.cleaner.enable": "false",
        }
        for name in ("plain", "proxied", "tls"):
            lines[f"listener.name.{name}.plain.sasl.jaas.config"] = f'{login} user_{USER}="{PASSWORD}";'
        self._file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))


def _pkcs8(pem: bytes) -> bytes:
    """The private key in the only form that Kafka reads."""
    key = form.load_pem_private_key(pem, None)
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())


class KafkaRig:
    """See ``rig.Rig``. A place is a prefix of topics."""

    name = "kafka"
    lacks: frozenset[str] = frozenset()
    oversize = 1100000

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.listen = free_port()
        self._ca = certificates.ca
        self.server = Kafka(folder, certificates, self.listen)
        self.target = self.server.proxied

    def start(self) -> None:
        if self.server.pid is None:
            self.server.start(180)

    def stop(self) -> None:
        self.server.stop(60)

    def kill(self) -> None:
        self.server.kill()

    def settings(
        self, place: str, way: Way = "plain", *, password: str = PASSWORD, create: bool = False
    ) -> Broker:
        scheme = "kafka+ssl" if way == "tls" else "kafka"
        port = {"plain": self.server.plain, "tls": self.server.tls, "proxy": self.listen}[way]
        return Broker(
            url=f"{scheme}://{USER}:{password}@127.0.0.1:{port}", create=create, timeout=UNHURRIED,
            ca_cert=str(self._ca) if way == "tls" else "",
        )  # fmt: skip

    async def prepare(self, place: str) -> None:
        await self.make_topic(f"{place}.orders")

    async def make_topic(self, name: str, *, partitions: int = 3, **config: str) -> None:
        """A topic of so many partitions."""
        named = {key.replace("_", "."): value for key, value in config.items()}
        await _done(
            lambda admin: admin.create_topics([NewTopic(name, partitions, 1, config=named)]), self.server
        )
        admin = self.server.admin()
        # Made is not known at once.
        await until(lambda: name in admin.list_topics(timeout=10).topics)

    async def readers_return(self, place: str) -> None:
        """What is there stays as it was."""

    async def read(self, place: str) -> list[Stored]:
        async def readable() -> tuple[list[Stored]]:
            try:
                return (await asyncio.to_thread(self._read, place),)
            except KafkaException as error:  # after a start a partition has no leader for a moment
                raise AssertionError(str(error)) from error

        (found,) = await until(readable, within=30, every=0.2)
        return found

    def partitions(self, place: str) -> list[tuple[int, str]]:
        """The partition and key of each message; blocking."""
        return [(each.partition(), each.key().decode()) for each in self._messages(place)]

    def _read(self, place: str) -> list[Stored]:
        return [stored(each) for each in self._messages(place)]

    def _messages(self, place: str) -> list[Any]:
        consumer = Consumer({
            "bootstrap.servers": f"127.0.0.1:{self.server.own}", "group.id": uuid.uuid4().hex,
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "log_level": 0,
        })  # fmt: skip
        try:
            topics = [name for name in consumer.list_topics(timeout=20).topics if name.startswith(place)]
            places = [
                TopicPartition(topic, partition, _EARLIEST) for topic in topics for partition in range(3)
            ]
            left = sum(consumer.get_watermark_offsets(each, timeout=20)[1] for each in places)
            consumer.assign(places)
            found: list[Any] = []
            while left:
                messages = consumer.consume(left, timeout=10)
                assert messages, f"{left} messages of {place} can't be read"
                left -= len(messages)
                found += messages
            return found
        finally:
            consumer.close()

    async def refusing(self, place: str) -> dict[str, Any]:
        topic = f"{place}.secret"
        await self.make_topic(topic)
        rule = AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{USER}", "*",
            AclOperation.WRITE, AclPermissionType.DENY,
        )  # fmt: skip
        await _done(lambda admin: admin.create_acls([rule]), self.server)
        return {"topic": topic}

    def unroutable(self, place: str) -> str:
        return f"{place}.nobody"


async def _done(ask: Callable[[AdminClient], dict[Any, Any]], server: Kafka) -> None:
    admin = server.admin()  # what it was asked ends with it
    for each in ask(admin).values():
        await asyncio.to_thread(each.result, 20)


def stored(message: Any) -> Stored:
    """A message as the suite compares it."""
    assert message.error() is None, message.error()
    attributes = {
        name.removeprefix("ce_"): value.decode()
        for name, value in message.headers() or []
        if name.startswith("ce_")
    }
    for name, value in message.headers() or []:
        if name == "content-type":
            attributes["datacontenttype"] = value.decode()
    key = message.key()
    return Stored(message.topic(), None if key is None else key.decode(), attributes, message.value() or b"")
