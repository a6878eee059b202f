"""The whole system on this machine: servers, services with their agents, gateway."""

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import asyncpg

from agent.demo import backing, cast, components
from agent.demo.ports import Ports, book
from agent.demo.process import Process
from agent.demo.report import Report
from agent.demo.sidecar import Sidecar, clean
from agent.runtime.errors import Permanent

GUNICORN = (sys.executable, "-m", "gunicorn", "app:app")


class Stage:
    """Everything that the demo runs. ``close`` ends all that ``start`` has started, however far that came.

    ``folder`` gets a folder for each process.
    """

    def __init__(self, folder: Path, ports: Ports, report: Report) -> None:
        self.folder = folder
        self.ports = ports
        self.sidecars: dict[str, Sidecar] = {}
        self._report = report
        self._book = book(folder)
        self._processes: list[Process] = []

    @property
    def gateway(self) -> str:
        """The URL in front of all services."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def consul(self) -> str:
        """Consul's URL, which is its page's as well."""
        return f"http://127.0.0.1:{self.ports.consul}"

    @property
    def jaeger(self) -> str:
        """The URL of Jaeger's query API."""
        return f"http://127.0.0.1:{self.ports.jaeger}"

    @property
    def nats(self) -> str:
        """The broker's URL."""
        return f"nats://127.0.0.1:{self.ports.nats}"

    @property
    def dns(self) -> int:
        """The port of Consul's DNS."""
        return self.ports.dns

    token = ""
    """Consul in development mode has no ACLs."""

    async def lose(self, label: str) -> str:
        """Kill all processes of an instance at once; what they were."""
        lost = self.sidecars[label].lose()
        return f"kill -9 of the {lost} processes of {label}: service, agent and Envoy"

    async def launch(self, label: str) -> None:
        """Start a lost instance again, without waiting."""
        self.sidecars[label].launch()

    async def metrics(self, label: str) -> str:
        """One scrape of an instance's agent, its Envoy's metrics included. Raises OSError."""
        return await asyncio.to_thread(self.sidecars[label].get, "/metrics")

    async def status(self, label: str) -> str:
        """What an instance's agent says of itself, as JSON. Raises OSError."""
        return await asyncio.to_thread(self.sidecars[label].get, "/status")

    async def page(self, label: str) -> str:
        """An instance's status page. Raises OSError."""
        return await asyncio.to_thread(self.sidecars[label].get, "/")

    def inbound_ports(self, service: str) -> Sequence[int]:
        """The ports on which the agents of the service's instances receive."""
        return [sidecar.inbound for sidecar in self.sidecars.values() if sidecar.service == service]

    def addresses(self) -> list[tuple[str, str]]:
        """What there is to look at: a name and a URL each."""
        shown = [
            ("gateway", f"{self.gateway}/shop"),
            ("Consul", f"{self.consul}/ui"),
            ("Jaeger's API", f"{self.jaeger}/api/services (built from source it has no page)"),
            ("NATS", self.nats),
        ]
        return shown + [(f"status of {label}", sidecar.status) for label, sidecar in self.sidecars.items()]

    def start(self) -> None:
        """Start all of it; what was started before a failure is ended by ``close``. Raises Permanent."""
        self._servers()
        where = f"http://127.0.0.1:{self.ports.otlp}"
        servers = cast.Servers(
            consul=self.consul,
            otlp=where,
            nats=self.nats,
            database=self._database(),
            envoy=backing.binary("envoy"),
        )
        parts = cast.parts(servers, self.folder)
        for part in parts:
            self.sidecars[part.label] = self._sidecar(part)
        self._tables(parts)
        self.sidecars["gateway"] = self._front(servers)
        with self._report.working(
            f"Starting {len(parts)} instances of 3 services, and the gateway"
        ) as progress:
            for sidecar in self.sidecars.values():
                sidecar.launch()
            for sidecar in self.sidecars.values():
                sidecar.wait(within=180)  # eight start at once, perhaps on one core
                progress(f"{sidecar.label} is ready")
        self._report.done(f"{len(parts)} instances of 3 services and the gateway are ready")

    def close(self) -> None:
        """End the agents together, then the servers; what does not end in order is killed."""
        agents = list(self.sidecars.values())
        for agent in agents:
            agent.terminate()
        with contextlib.ExitStack() as last:
            for process in (*self._processes, *reversed(agents)):
                last.callback(process.stop)
        self.sidecars = {}
        self._processes = []

    def _servers(self) -> None:
        ports, folder = self.ports, self.folder
        makers: tuple[Callable[[], Process], ...] = (
            lambda: backing.Consul(folder / "consul", ports.consul, ports.dns),
            lambda: backing.Nats(folder / "nats", ports.nats),
            lambda: backing.Postgres(folder / "postgres", ports.postgres, password=secrets.token_urlsafe(18)),
            lambda: backing.Jaeger(folder / "jaeger", ports.otlp, ports.jaeger),
        )
        with self._report.working("Starting Consul, NATS, PostgreSQL and Jaeger") as progress:
            for make in makers:
                server = make()
                self._processes.append(server)
                server.start()
                progress(f"{server.name} answers")
        self._report.done("Consul, NATS, PostgreSQL and Jaeger answer")

    def _database(self) -> str:
        server = next(server for server in self._processes if isinstance(server, backing.Postgres))

        async def create() -> None:
            connection = await asyncpg.connect(server.url)
            await connection.execute("CREATE DATABASE shop")
            await connection.close()

        asyncio.run(create())
        return server.database("shop")

    def _tables(self, parts: Sequence[cast.Part]) -> None:
        """What whoever deploys the services does once: their own tables, then the outbox's and the inbox's."""
        part = next(part for part in parts if "outbox" in part.settings)
        flask = [sys.executable, "-m", "flask", "--app", "app", "init-db"]
        _once(flask, _code(part.service), part.environ, "creating the orders' tables")
        self._pillion("outbox", part.label)
        self._report.done("the table orders is watched for changes: `pillion outbox init`")
        self._pillion("inbox", next(part.label for part in parts if "inbox" in part.settings))
        self._report.done("it is remembered what the inventory has done: `pillion inbox init`")

    def _pillion(self, group: str, label: str) -> None:
        argv = [sys.executable, "-m", "agent", group, "init", "--config", str(self.sidecars[label].file)]
        _once(argv, self.folder, {}, f"pillion {group} init")

    def _sidecar(self, part: cast.Part) -> Sidecar:
        return Sidecar(
            self.folder / part.label,
            part.settings,
            self._book,
            service=part.service,
            command=GUNICORN,
            environ=part.environ,
            cwd=_code(part.service),
        )

    def _front(self, servers: cast.Servers) -> Sidecar:
        settings = cast.gateway(servers, f"127.0.0.1:{self.ports.gateway}")
        return Sidecar(self.folder / "gateway", settings, self._book, verb="gateway", cwd=self.folder)


def _code(service: str) -> Path:
    return components.data() / "services" / service


def _once(argv: Sequence[str], cwd: Path, environ: Mapping[str, str], what: str) -> None:
    """Run a command to its end; raises Permanent with what it said when it fails."""
    environment = {**clean(os.environ), **environ}
    done = subprocess.run(
        argv, cwd=cwd, env=environment, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise Permanent(
            f"{what} failed with status {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}"
        )
