"""Consul, NATS, PostgreSQL and Jaeger on free local ports, each as a class with start, stop and kill."""

import http.client
import json
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Container
from pathlib import Path

import yaml

from agent.demo import components
from agent.demo.process import Process
from agent.runtime.errors import Permanent
from agent.runtime.ports import choose


def free_port(taken: Container[int] = ()) -> int:
    """A port on which nothing listens now and from which the kernel starts no connection either."""
    return choose("127.0.0.1", taken)


def direct() -> urllib.request.OpenerDirector:
    """Opens local URLs, never through the proxy that the user's environment may name."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http_ok(url: str, timeout: float = 1.0) -> bool:
    """Whether a GET of the local URL answers 2xx."""
    try:
        with direct().open(url, timeout=timeout) as response:
            return bool(200 <= response.status < 300)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def tcp_ok(port: int) -> bool:
    """Whether something accepts connections on the local port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def binary(name: str) -> str:
    """The component's binary; raises Permanent when it was not obtained yet."""
    path = components.find(name)
    if path is None:
        raise Permanent(
            f"{components.COMPONENTS[name].title} was not obtained yet: run `pillion demo --obtain` first"
        )
    return str(path)


class Consul(Process):
    """A single Consul server in development mode: in memory, so a restart is a restart with empty data."""

    def __init__(self, folder: Path, http: int | None = None, dns: int | None = None) -> None:
        self.http = http or free_port()
        self.dns = dns or free_port({self.http})
        self.url = f"http://127.0.0.1:{self.http}"
        ports = {"http": self.http, "dns": self.dns}
        for name in ("server", "serf_lan"):
            ports[name] = free_port(ports.values())
        options = {
            "ports": {**ports, "serf_wan": -1, "grpc": -1, "grpc_tls": -1},
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "log_level": "warn",
            "disable_update_check": True,
            "dns_config": {"allow_stale": False},
        }
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "consul.json"
        file.write_text(json.dumps(options))
        argv = [binary("consul"), "agent", "-dev", f"-config-file={file}"]
        super().__init__("Consul", argv, folder / "consul.log", answers=self._leads)

    def _leads(self) -> bool:
        return (
            http_ok(f"{self.url}/v1/catalog/nodes")
            and http_ok(f"{self.url}/v1/agent/self")
            and self._has_leader()
        )

    def _has_leader(self) -> bool:
        with direct().open(f"{self.url}/v1/status/leader", timeout=1) as response:
            return bool(json.load(response))


class Nats(Process):
    """A NATS server with JetStream; its store survives stop and start."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        argv = [
            binary("nats-server"),
            "-js",
            "-sd",
            str(folder / "store"),
            "-a",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        super().__init__("NATS", argv, folder / "nats.log", answers=lambda: tcp_ok(self.port))


class Jaeger(Process):
    """Jaeger with its in-memory store: OTLP over HTTP in, query API out."""

    def __init__(self, folder: Path, otlp: int | None = None, query: int | None = None) -> None:
        self.otlp = otlp or free_port()
        self.query = query or free_port()
        self.endpoint = f"http://127.0.0.1:{self.otlp}"
        self.url = f"http://127.0.0.1:{self.query}"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "jaeger.yaml"
        file.write_text(yaml.safe_dump(_jaeger(self.otlp, self.query, free_port())))
        argv = [binary("jaeger"), "--config", str(file)]
        super().__init__("Jaeger", argv, folder / "jaeger.log", answers=self._answers_both)

    def stop(self, within: float = 2.0, sign: signal.Signals = signal.SIGTERM) -> int | None:
        """Short: after queries it waits a quarter of a minute for nothing; what it holds is lost anyway."""
        return super().stop(within, sign)

    def _answers_both(self) -> bool:
        return http_ok(f"{self.url}/api/services") and tcp_ok(self.otlp)


def _jaeger(otlp: int, query: int, grpc: int) -> dict[str, object]:
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["batch"],
                    "exporters": ["jaeger_storage_exporter"],
                }
            },
            "telemetry": {"logs": {"level": "warn"}, "metrics": {"level": "none"}},
        },
        "extensions": {
            "jaeger_query": {
                "storage": {"traces": "memory"},
                "http": {"endpoint": f"127.0.0.1:{query}"},
                "grpc": {"endpoint": f"127.0.0.1:{grpc}"},
            },
            "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 50000}}}},
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{otlp}"}}}},
        "processors": {"batch": {"timeout": "200ms"}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
    }


class Postgres(Process):
    """A PostgreSQL cluster of its own in ``folder``; never run as root, which PostgreSQL refuses.

    ``url`` is the superuser's connection to the database ``postgres``. Without a ``password`` everybody on
    this machine is let in, which is for tests only.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        settings: dict[str, str] | None = None,
        password: str = "",
    ) -> None:
        self.port = port or free_port()
        self._password = password
        self.url = self.database("postgres")
        self.data = folder / "data"
        self._bin = postgres_bin()
        user = _unprivileged()
        folder.mkdir(parents=True, exist_ok=True)
        if user is not None:
            os.chown(folder, user, user)
        if not (self.data / "PG_VERSION").exists():
            self._initdb(user)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "max_prepared_transactions": "20",
            # In its own folder, so that a server which was killed leaves nothing elsewhere.
            "dynamic_shared_memory_type": "mmap",
            **(settings or {}),
        }
        argv = [str(self._bin / "postgres"), "-D", str(self.data)]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        super().__init__(
            "PostgreSQL", argv, folder.parent / f"{folder.name}.log", user=user, answers=self._accepts
        )

    def stop(self, within: float = 20.0, sign: signal.Signals = signal.SIGINT) -> int | None:
        """Fast shutdown: sessions are ended, what was committed is on disk."""
        return super().stop(within, sign)

    def database(self, name: str) -> str:
        """The superuser's URL of a database."""
        secret = f":{self._password}" if self._password else ""
        return f"postgresql://postgres{secret}@127.0.0.1:{self.port}/{name}"

    def _initdb(self, user: int | None) -> None:
        argv = [
            str(self._bin / "initdb"),
            "-D",
            str(self.data),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        with tempfile.NamedTemporaryFile("w") as secret:
            if self._password:
                secret.write(self._password)
                secret.flush()
                os.chown(secret.name, user if user is not None else -1, -1)
                argv += ["-A", "scram-sha-256", f"--pwfile={secret.name}"]
            else:
                argv += ["-A", "trust"]
            self._made(argv, user)

    @staticmethod
    def _made(argv: list[str], user: int | None) -> None:
        made = subprocess.run(
            argv, user=user, group=user, capture_output=True, check=False, text=True, cwd="/"
        )
        if made.returncode != 0:
            raise Permanent(f"initdb failed: {made.stderr.strip()}")

    def _accepts(self) -> bool:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        argv = [str(self._bin / "pg_isready"), "-q", *where]
        return subprocess.run(argv, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).returncode == 0


def postgres_bin() -> Path:
    """The folder of PostgreSQL's programs; raises Permanent when it was not obtained yet."""
    return Path(binary("postgres")).resolve().parent


def _unprivileged() -> int | None:
    """The user id to drop to when running as root, else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise Permanent("running as root, and neither the user postgres nor nobody exists to run PostgreSQL as")
