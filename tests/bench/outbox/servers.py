"""The brokers that are measured, each a real server on a free local port with its data in a folder of its own."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from agent.config.sections.outbox import Broker
from agent.demo import backing
from agent.demo.process import Process
from tests.ports import free_port

ALL = ("nats", "redis", "http", "kafka")


@contextmanager
def broker(name: str, folder: Path) -> Iterator[Broker]:
    """One that runs for the body."""
    folder.mkdir(parents=True)
    port = free_port()
    server = {"nats": _nats, "redis": _redis, "http": _http, "kafka": _kafka}[name](folder, port)
    server.start(90)
    try:
        path = "/events" if name == "http" else ""
        yield Broker(url=f"{name}://127.0.0.1:{port}{path}")
    finally:
        server.stop()


def missing(name: str) -> str:
    """What is not there that this broker needs; empty: nothing."""
    if name == "redis" and shutil.which("redis-server") is None:
        return "redis-server is not installed"
    try:
        if name in ("nats", "kafka"):
            backing.binary("nats-server" if name == "nats" else name)
    except Exception as error:
        return str(error)
    return ""


def _nats(folder: Path, port: int) -> Process:
    return backing.Nats(folder, port)


def _redis(folder: Path, port: int) -> Process:
    words = [
        "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "",
        "--appendonly", "yes", "--appendfsync", "everysec",
    ]  # fmt: skip
    return Process("Redis", words, folder / "redis.log", answers=lambda: backing.tcp_ok(port))


def _http(folder: Path, port: int) -> Process:
    words = [sys.executable, "-m", "tests.bench.outbox.servers", str(port)]
    return Process("the receiver", words, folder / "http.log", answers=lambda: backing.tcp_ok(port))


def _kafka(folder: Path, port: int) -> Process:
    controller, program = free_port(), backing.binary("kafka")
    lines = {
        "process.roles": "broker,controller", "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAIN://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAIN://127.0.0.1:{port}", "inter.broker.listener.name": "PLAIN",
        "listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"), "num.partitions": "3", "offsets.topic.replication.factor": "1",
    }  # fmt: skip
    file = folder / "server.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()), encoding="utf-8")
    env = {**os.environ, "JAVA_OPTS": "-Xms256m -Xmx512m -XX:+UseSerialGC"}
    format_ = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(file)]
    subprocess.run([program, *format_], capture_output=True, check=True, env=env)
    words = [program, "kafka.Kafka", str(file)]
    return Process("Kafka", words, folder / "kafka.log", env=env, answers=lambda: backing.tcp_ok(port))


class Receiver(asyncio.Protocol):
    """Answers 204 to whatever is posted."""

    LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to answer."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._answer = transport.write

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = self.LENGTH.search(self._buffer, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            self._buffer = self._buffer[end:]
            self._answer(b"HTTP/1.1 204 No Content\r\n\r\n")


async def receive(port: int) -> None:
    """Until the process is ended."""
    await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(receive(int(sys.argv[1])))
