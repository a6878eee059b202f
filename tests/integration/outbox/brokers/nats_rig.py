"""NATS for the suite: plain and TLS on one port, as the server has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nats
from nats.aio.client import Client
from nats.js.api import StreamConfig

from agent.config.sections.outbox import Broker
from agent.demo import backing
from agent.demo.process import Process
from tests.integration.outbox.bench import read_stream
from tests.integration.outbox.brokers.rig import PASSWORD, UNHURRIED, USER, Certificates, Stored, Way
from tests.ports import free_port


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client for the body, which waits for a server as long as a busy machine needs."""
    client = await nats.connect(url, connect_timeout=int(UNHURRIED))
    try:
        yield client
    finally:
        await client.close()


class NatsRig:
    """See ``rig.Rig``."""

    name = "nats"
    lacks: frozenset[str] = frozenset()
    oversize = 1048576

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.listen, self.target = free_port(), free_port()
        self._ca = certificates.ca
        self._url = f"nats://{USER}:{PASSWORD}@127.0.0.1:{self.target}"
        file = folder / "nats.conf"
        file.write_text(
            f'listen: "127.0.0.1:{self.target}"\njetstream {{store_dir: "{folder}/store"}}\n'
            f'tls {{cert_file: "{certificates.certificate}", key_file: "{certificates.key}"}}\n'
            "allow_non_tls: true\n"
            f'authorization {{users: [{{user: "{USER}", password: "{PASSWORD}"}}]}}\n'
        )
        argv = [backing.binary("nats-server"), "-c", str(file)]
        self._process = Process(
            "NATS", argv, folder / "nats.log", answers=lambda: backing.tcp_ok(self.target)
        )

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
        scheme = "tls" if way == "tls" else "nats"
        port = self.listen if way == "proxy" else self.target
        return Broker(
            url=f"{scheme}://{USER}:{password}@127.0.0.1:{port}", stream=place, create=create, timeout=UNHURRIED,
            ca_cert=str(self._ca) if way == "tls" else "",
        )  # fmt: skip

    async def prepare(self, place: str) -> None:
        config = StreamConfig(name=place, subjects=[f"{place}.>"], duplicate_window=0.1)
        async with connected(self._url) as client:
            await client.jetstream(timeout=UNHURRIED).add_stream(config)

    async def readers_return(self, place: str) -> None:
        """What is there stays as it was."""

    async def read(self, place: str) -> list[Stored]:
        return [
            Stored(
                each.subject,
                each.headers.get("ce-partitionkey"),
                {
                    name.removeprefix("ce-").lower(): unquote(value)
                    for name, value in each.headers.items()
                    if name.startswith("ce-")
                },
                each.body,
                each.headers["Nats-Msg-Id"],
            )
            for each in await read_stream(self._url, place)
        ]

    async def refusing(self, place: str) -> dict[str, Any]:
        async with connected(self._url) as client:
            stream = client.jetstream(timeout=UNHURRIED)
            config = (await stream.stream_info(place)).config
            await stream.update_stream(config.evolve(max_msg_size=3000))
        return {"body": b"secret-hunter2".ljust(4000)}

    def unroutable(self, place: str) -> str:
        return f"nobody{place}.orders"
