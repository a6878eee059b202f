"""RabbitMQ for the suite, Debian's: a node of its own, with an epmd of its own."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from agent.config.sections.outbox import Broker
from agent.demo import backing
from agent.demo.process import Process
from tests.integration.outbox.brokers.rig import PASSWORD, UNHURRIED, USER, Certificates, Stored, Way
from tests.ports import free_port
from tests.waiting import until

_BIN = Path("/usr/lib/rabbitmq/bin")
_MOST = 2000000


class RabbitRig:
    """See ``rig.Rig``. A place is an exchange and a quorum queue that takes its topics."""

    name = "rabbitmq"
    lacks: frozenset[str] = frozenset()
    oversize = _MOST + 1

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        if not (_BIN / "rabbitmq-server").exists():
            reason = "rabbitmq-server is not installed: apt-get install rabbitmq-server"
            pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
        self.listen, self.target, self._tls = free_port(), free_port(), free_port()
        self._ca = certificates.ca
        self._url = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.target}"
        self._data = folder / "data"
        self._found: dict[str, list[Stored]] = {}
        self._readers: dict[str, dict[str, dict[str, Any]]] = {}
        """By place and queue: what else ``make`` was given."""
        epmd = free_port()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.target}\nlisteners.ssl.1 = 127.0.0.1:{self._tls}\n"
            f"ssl_options.certfile = {certificates.certificate}\nssl_options.keyfile = {certificates.key}\n"
            f"default_user = {USER}\ndefault_pass = {PASSWORD}\nmax_message_size = {_MOST}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        )
        (folder / "enabled_plugins").write_text("[].\n")
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"suite{self.target}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_MNESIA_BASE": str(self._data),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            # Without the shell around it, which would outlive a kill.
            "RABBITMQ_ALLOW_INPUT": "yes",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +S 2:2 +sbwt none",
        }
        self._epmd = Process(
            "epmd", [shutil.which("epmd") or "epmd", "-port", str(epmd), "-address", "127.0.0.1"],
            folder / "epmd.log", answers=lambda: backing.tcp_ok(epmd),
        )  # fmt: skip
        self._process = Process(
            "RabbitMQ", [str(_BIN / "rabbitmq-server")], folder / "rabbitmq.log", env=self._env,
            answers=lambda: backing.tcp_ok(self.target) and backing.tcp_ok(self._tls),
        )  # fmt: skip

    def start(self) -> None:
        if self._epmd.pid is None:
            self._epmd.start()
        if self._process.pid is None:
            self._process.start(180)

    def stop(self) -> None:
        self._process.stop(60)
        self._epmd.stop()

    def kill(self) -> None:
        self._process.kill()

    def settings(
        self, place: str, way: Way = "plain", *, password: str = PASSWORD, create: bool = False
    ) -> Broker:
        scheme = "amqps" if way == "tls" else "amqp"
        port = {"plain": self.target, "tls": self._tls, "proxy": self.listen}[way]
        return Broker(
            url=f"{scheme}://{USER}:{password}@127.0.0.1:{port}", stream=place, create=create, timeout=UNHURRIED,
            ca_cert=str(self._ca) if way == "tls" else "",
        )  # fmt: skip

    async def prepare(self, place: str) -> None:
        await self.make(place, **{"x-queue-type": "quorum"})

    async def make(self, place: str, *, name: str = "", topics: str = "#", **arguments: Any) -> None:
        """An exchange, and a queue with these arguments that takes these of its topics; by default it has the
        place's name."""
        name = name or place
        self._readers.setdefault(place, {})[name] = {"topics": topics, **arguments}
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(place, aio_pika.ExchangeType.TOPIC, durable=True)
            queue = await channel.declare_queue(name, durable=True, arguments=arguments)
            await queue.bind(exchange, f"{place}.{topics}")

        if arguments.get("x-queue-type") == "quorum":
            # A quorum queue whose name is not on disk yet hangs for ever after a kill.
            (names,) = self._data.glob("*/quorum/*/names.dets")
            await until(lambda: f"_{name}".encode() in names.read_bytes(), within=30)

    async def readers_return(self, place: str) -> None:
        """Declare the queues and bind them anew. RabbitMQ 3 may come back without a way from a topic exchange to a
        durable queue (seen with 3.10 on a busy machine; its issues 4236 and 5075): until somebody binds it anew, all
        that is published comes back."""

        async def bound() -> bool:
            try:
                for name, given in self._readers.get(place, {}).items():
                    await self.unbind(place, name=name, topics=given["topics"])
                    await self.make(place, name=name, **given)
            except (aio_pika.exceptions.AMQPError, OSError) as error:  # just started
                raise AssertionError(str(error)) from error
            return True

        await until(bound, within=90, every=0.2)

    async def unbind(self, place: str, *, name: str = "", topics: str = "#") -> None:
        """Take from the exchange a queue that ``make`` bound."""
        async with await aio_pika.connect(self._url) as connection:
            queue = await (await connection.channel()).declare_queue(name or place, passive=True)
            await queue.unbind(place, f"{place}.{topics}")

    async def exchange(self, place: str) -> None:
        """An exchange and nothing that takes its messages."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.declare_exchange(place, aio_pika.ExchangeType.TOPIC, durable=True)

    async def read(self, place: str) -> list[Stored]:
        async def readable() -> tuple[list[Stored]]:
            try:
                return (await self._read(place),)
            except (aio_pika.exceptions.AMQPError, OSError) as error:  # just started
                raise AssertionError(str(error)) from error

        (found,) = await until(readable, within=90, every=0.2)
        return found

    async def _read(self, place: str) -> list[Stored]:
        # A quorum queue hands out 2,000 messages at most that are not acknowledged: what was read is kept here.
        found = self._found.setdefault(place, [])
        async with await aio_pika.connect(self._url, timeout=10) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(place, passive=True, timeout=10)
            count = len(found) + (await _ready(queue))

            async def take(message: Any) -> None:
                found.append(_stored(message))
                await message.ack()

            await queue.consume(take, timeout=10)
            await until(lambda: len(found) >= count, within=60)
        return found

    async def refusing(self, place: str) -> dict[str, Any]:
        topic = f"{place}.secret"
        await self.control("set_topic_permissions", USER, place, "^(?!.*secret).*", ".*")
        return {"topic": topic}

    def unroutable(self, place: str) -> str:
        return f"nobody{place}.orders"

    async def control(self, *words: str) -> None:
        """Run ``rabbitmqctl``."""
        argv = [str(_BIN / "rabbitmqctl"), *words]
        made = await asyncio.to_thread(
            subprocess.run, argv, env=self._env, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout + made.stderr


async def _ready(queue: Any) -> int:
    """How many messages wait in a queue; a quorum queue that does not answer the server in time counts as empty."""
    for _ in range(3):
        if count := (await queue.declare(timeout=10)).message_count:
            return int(count)
        await asyncio.sleep(0.2)
    return 0


def _stored(message: Any) -> Stored:
    attributes = {
        name.removeprefix("cloudEvents_"): str(value)
        for name, value in message.headers.items()
        if name.startswith("cloudEvents_")
    }
    if message.content_type:
        attributes["datacontenttype"] = message.content_type
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    key = attributes.get("partitionkey")
    return Stored(message.routing_key, key, attributes, message.body, message.message_id)
