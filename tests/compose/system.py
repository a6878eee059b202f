"""The Compose system as the walk sees it."""

import asyncio
import time
from collections.abc import Sequence
from functools import cached_property

import aiohttp

from agent.demo import readings
from agent.demo.traffic import Client
from tests.commands import CommandError, run
from tests.compose import layout
from tests.compose.engine import Project

ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
INBOUND = 15006


class ComposeSystem:
    """The sample system in containers; what ``agent.demo.system.System`` asks for."""

    def __init__(self, project: Project) -> None:
        self.project = project

    @cached_property
    def gateway(self) -> str:
        """The URL in front of all services."""
        return self.url("gateway", 10000)

    @cached_property
    def consul(self) -> str:
        """Consul's URL."""
        return self.url("consul", 8500)

    @cached_property
    def jaeger(self) -> str:
        """The URL of Jaeger's query API."""
        return self.url("jaeger", 16686)

    @cached_property
    def prometheus(self) -> str:
        """Prometheus' URL."""
        return self.url("prometheus", 9090)

    @cached_property
    def alertmanager(self) -> str:
        """Alertmanager's URL."""
        return self.url("alertmanager", 9093)

    @cached_property
    def nats(self) -> str:
        """The broker's URL with the operator's password."""
        return f"nats://operator:{self.secret('nats-operator')}@127.0.0.1:{self.project.port('nats', 4222)}"

    @cached_property
    def dns(self) -> int:
        """The port of Consul's DNS."""
        return self.project.port("consul", 8600, "udp")

    @cached_property
    def token(self) -> str:
        """The operator's token for Consul."""
        return self.secret("consul-operator")

    def url(self, service: str, port: int) -> str:
        """Where a port of a container is reached from this machine."""
        return f"http://127.0.0.1:{self.project.port(service, port)}"

    def secret(self, name: str) -> str:
        """A secret, as the operator reads it."""
        return self.project.once("secrets", "show", name).strip()

    async def lose(self, label: str) -> str:
        """Kill the instance's three containers at once; Docker leaves them dead."""
        containers = self.project.containers()
        names = layout.group(label)
        await asyncio.to_thread(run, "docker", "kill", *(containers[name].id for name in names))
        return f"docker kill {' '.join(names)}"

    async def launch(self, label: str) -> None:
        """Start the three containers again, the one that holds the network first."""
        containers = self.project.containers()
        for name in layout.group(label):
            await asyncio.to_thread(run, "docker", "start", containers[name].id)

    async def metrics(self, label: str) -> str:
        """One scrape from within the instance's agent. Raises OSError."""
        return await self._asked(label, "http://127.0.0.1:15090/metrics")

    async def status(self, label: str) -> str:
        """What the instance's agent says of itself, as JSON. Raises OSError."""
        return await self._asked(label, "http://127.0.0.1:15020/status")

    async def page(self, label: str) -> str:
        """The instance's status page. Raises OSError."""
        return await self._asked(label, "http://127.0.0.1:15020/")

    async def _asked(self, label: str, url: str) -> str:
        name = label if label == "gateway" else f"{label}-agent"
        try:
            return await asyncio.to_thread(self.project.execute, name, "python", "-c", ASK, url)
        except CommandError as error:
            raise OSError(str(error)) from None

    def inbound_ports(self, service: str) -> Sequence[int]:
        """The default in every pod: each has an address of its own."""
        return [INBOUND] * layout.SERVICES[service]

    async def well(self, client: Client, within: float) -> None:
        """Wait until nothing is wrong. Raises AssertionError with what still is."""
        deadline, wrong = time.monotonic() + within, ["nothing was asked"]
        while wrong and time.monotonic() < deadline:
            try:
                wrong = await self.wrong(client)
            except (OSError, aiohttp.ClientError) as error:
                wrong = [repr(error)]
            await asyncio.sleep(0.3)
        assert not wrong, f"after {within:g} s: {'; '.join(wrong)}"

    async def wrong(self, client: Client) -> list[str]:
        """What is not well: containers, instances in Consul, and the shop itself. Empty when all is."""
        containers = await asyncio.to_thread(self.project.containers)
        wrong = [f"{name} is {one.state}" for name, one in sorted(containers.items()) if not one.well]
        for service, count in layout.SERVICES.items():
            passing = len(await readings.passing(self.consul, service, self.token))
            if passing != count:
                wrong.append(f"{passing} of {count} instances of {service} pass in Consul")
        for path in ("/shop", "/inventory/stock", "/api/v1/orders", "/api/v2/orders"):
            answer = await client.get(path)
            if answer.status != 200:
                wrong.append(f"GET {path} answers {answer.status}")
        return wrong
