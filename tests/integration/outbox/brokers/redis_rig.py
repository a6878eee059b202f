"""Redis for the suite, with every write on the disk before its answer."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from agent.config.sections.outbox import Broker
from agent.demo.process import Process
from tests.integration.outbox.brokers.rig import PASSWORD, UNHURRIED, USER, Certificates, Stored, Way
from tests.ports import free_port


def patient(port: int, **more: Any) -> redis.asyncio.Redis:
    """A client of the driver that waits for a server as long as a busy machine needs."""
    return redis.asyncio.Redis(port=port, socket_timeout=60, socket_connect_timeout=60, **more)


class RedisRig:
    """See ``rig.Rig``."""

    name = "redis"
    lacks: frozenset[str] = frozenset()
    oversize = 1048576

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            reason = "redis-server is not installed; Debian's package redis-server brings it"
            pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
        self.listen, self.target, self._tls = free_port(), free_port(), free_port()
        self._ca = certificates.ca
        file = folder / "redis.conf"
        file.write_text(
            f'bind 127.0.0.1\nport {self.target}\ntls-port {self._tls}\ndir "{folder}"\n'
            f'tls-cert-file "{certificates.certificate}"\ntls-key-file "{certificates.key}"\n'
            f'tls-ca-cert-file "{certificates.ca}"\ntls-auth-clients no\nsave ""\n'
            "appendonly yes\nappendfsync always\nproto-max-bulk-len 1mb\nuser default off\n"
            f"user {USER} on >{PASSWORD} ~* &* +@all\n"
        )
        self._process = Process("Redis", [binary, str(file)], folder / "redis.log", answers=self._answers)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.target, username=USER, password=PASSWORD) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.asyncio.Redis:
        """A client of the driver."""
        return patient(self.target, username=USER, password=PASSWORD)

    def start(self) -> None:
        if self._process.pid is None:
            self._process.start(60)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def settings(
        self, place: str, way: Way = "plain", *, password: str = PASSWORD, create: bool = False
    ) -> Broker:
        scheme = "rediss" if way == "tls" else "redis"
        port = {"plain": self.target, "tls": self._tls, "proxy": self.listen}[way]
        return Broker(
            url=f"{scheme}://{USER}:{password}@127.0.0.1:{port}", create=create, timeout=UNHURRIED,
            ca_cert=str(self._ca) if way == "tls" else "",
        )  # fmt: skip

    async def prepare(self, place: str) -> None:
        async with self.client() as client:
            await client.xgroup_create(f"{place}.orders", "readers", mkstream=True)

    async def readers_return(self, place: str) -> None:
        """What is there stays as it was."""

    async def read(self, place: str) -> list[Stored]:
        found = []
        async with self.client() as client:
            async for topic in client.scan_iter(f"{place}.*", _type="stream"):
                for _, fields in await client.xrange(topic):
                    found.append(stored(topic, fields))
        return found

    async def refusing(self, place: str) -> dict[str, Any]:
        async with self.client() as client:
            await client.set(f"{place}.text", "no stream")
        return {"topic": f"{place}.text"}

    def unroutable(self, place: str) -> str:
        return f"{place}.nobody"


def stored(topic: bytes, fields: dict[bytes, bytes]) -> Stored:
    """An entry as a consumer finds it."""
    body = fields.pop(b"data", b"")
    attributes = {name.decode(): value.decode() for name, value in fields.items()}
    return Stored(topic.decode(), attributes.get("partitionkey"), attributes, body, attributes["id"])
