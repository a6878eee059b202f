"""Three NATS servers that are one cluster, each with JetStream and a store of its own."""

import json
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.js.api import StreamConfig
from nats.js.errors import APIError

from agent.demo import backing
from agent.demo.process import Process
from tests.ports import free_port
from tests.waiting import until


class NatsCluster:
    """Servers by name: ``n0``, ``n1``, ``n2``."""

    def __init__(self, folder: Path) -> None:
        self.ports = {f"n{number}": free_port() for number in range(3)}
        routes = {name: free_port() for name in self.ports}
        known = ", ".join(f'"nats://127.0.0.1:{each}"' for each in routes.values())
        self.servers: dict[str, Process] = {}
        for name, port in self.ports.items():
            file = folder / f"{name}.conf"
            file.write_text(
                f'server_name: {name}\nlisten: "127.0.0.1:{port}"\n'
                f'jetstream {{store_dir: "{folder}/{name}"}}\n'
                f'cluster {{name: suite, listen: "127.0.0.1:{routes[name]}", routes: [{known}]}}\n'
            )
            argv = [backing.binary("nats-server"), "-c", str(file)]
            self.servers[name] = Process(f"NATS {name}", argv, folder / f"{name}.log")

    @property
    def url(self) -> str:
        """All of them, as ``outbox.broker.url`` has them."""
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports.values())

    async def start(self) -> None:
        """Start, and wait until they have agreed on who leads."""
        for each in self.servers.values():
            each.launch()
        for each in self.servers.values():
            each.wait(60)

        async def leads() -> bool:
            try:
                client = await self.connect()
            except (OSError, nats.errors.Error) as error:
                raise AssertionError(str(error)) from error
            try:
                await client.jetstream().account_info()
            except (APIError, nats.errors.Error) as error:
                raise AssertionError(str(error)) from error
            finally:
                await client.close()
            return True

        await until(leads, within=60, every=0.2)

    def stop(self) -> None:
        for each in self.servers.values():
            each.kill()

    async def connect(self) -> Any:
        """A client of whichever runs."""
        running = [self.ports[name] for name, each in self.servers.items() if each.pid is not None]
        return await nats.connect([f"nats://127.0.0.1:{port}" for port in running], connect_timeout=10)

    async def make(self, stream: str, **settings: Any) -> None:
        """A stream of three replicas, unless it is said otherwise, with a short memory for duplicates."""
        config = {"num_replicas": 3, "duplicate_window": 0.1, **settings}
        client = await self.connect()
        try:
            made = StreamConfig(name=stream, subjects=[f"{stream}.>"], **config)
            await client.jetstream(timeout=30).add_stream(made)
        finally:
            await client.close()

    async def leader(self, stream: str) -> str:
        """Which server leads the stream."""

        async def known() -> str:
            client = await self.connect()
            try:
                found = (await client.jetstream().stream_info(stream)).cluster
            except (APIError, nats.errors.Error) as error:
                raise AssertionError(str(error)) from error
            finally:
                await client.close()
            return str(found.leader or "") if found else ""

        return await until(known, within=30, every=0.2)

    async def step_down(self, stream: str) -> None:
        """Have the stream's leader resign; who leads next is up to the servers, and may be the same one."""
        client = await self.connect()
        try:
            answer = await client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", b"", timeout=30)
        finally:
            await client.close()
        assert json.loads(answer.data).get("success"), answer.data
