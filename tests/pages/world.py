"""The demo's system on free ports, and the environment of a shell beside one of its instances."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from agent.demo import backing
from agent.demo.sidecar import Sidecar, clean
from agent.demo.stage import Stage
from tests.ports import free_port

_ADDRESS = re.compile(r"(?<![\w.])(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)")
_OWN = {"inbound": 15006, "outbound": 15001, "admin": 15020, "health": 15021, "metrics": 15090}
"""The documented ports of an agent."""


class World:
    """What the pages are typed beside. ``folder`` gets a folder for each page."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self._programs = folder / "bin"
        self._programs.mkdir()
        for name, argv in (
            ("pillion", [sys.executable, "-m", "agent"]),
            ("consul", [backing.binary("consul")]),
            ("envoy", [backing.binary("envoy")]),
            ("gunicorn", [sys.executable, "-m", "gunicorn"]),
            ("flask", [sys.executable, "-m", "flask"]),
            ("psql", [str(backing.postgres_bin() / "psql")]),
        ):
            program = self._programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
            program.chmod(0o755)

    @property
    def database(self) -> str:
        """The URL of the shop's database."""
        return (self.stage.folder / "database-url").read_text()

    def environ(self, place: "Place", folder: Path) -> dict[str, str]:
        """The variables of a shell on that machine, started in ``folder``."""
        own = {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(folder / "s"),
            "COLUMNS": "200",
            "LC_ALL": "C.UTF-8",
            "CONSUL_HTTP_ADDR": self.stage.consul,
            "PILLION_TRACING_QUERY": self.stage.jaeger,
        }
        return {**clean(os.environ), **own, **place.environ}

    def beside(self, label: str) -> "Place":
        """The machine of an instance of the demo: its settings are found, its ports are the documented ones."""
        sidecar: Sidecar = self.stage.sidecars[label]
        own = {port: getattr(sidecar, name) for name, port in _OWN.items()}
        return Place(self._ports(own), {"PILLION_CONFIG": str(sidecar.file)})

    def bare(self, folder: Path) -> "Place":
        """A machine on which nothing of Pillion runs yet. What is started there without a file of settings takes
        addresses from one in ``folder``."""
        place = Place(self._ports({}), {})
        file = folder / "addresses.yaml"
        file.write_text(place.settings(""))
        place.environ = {
            "PILLION_CONFIG": str(file),
            "PILLION_REGISTRY_SPREAD": "0.5",
            "PILLION_PROXY_ENVOY": backing.binary("envoy"),
            "PILLION_PROXY_CONCURRENCY": "1",
            "PILLION_PROXY_DRAIN_TIME": "2",
            "PILLION_GATEWAY_LISTEN": f"127.0.0.1:{free_port()}",
        }
        return place

    def _ports(self, own: Mapping[int, int]) -> dict[int, int]:
        ports = self.stage.ports
        shared = {
            8500: ports.consul,
            8600: ports.dns,
            10000: ports.gateway,
            16686: ports.jaeger,
            4318: ports.otlp,
            4222: ports.nats,
            5432: ports.postgres,
        }
        return {**shared, **own}


class Place:
    """One machine: which of its ports is which documented one, and the variables of its shells."""

    def __init__(self, ports: dict[int, int], environ: Mapping[str, str]) -> None:
        self._ports = ports
        self.environ = dict(environ)

    def real(self, text: str) -> str:
        """The text with the ports of this system. One that is not known yet is given a free one, and keeps it."""
        return _ADDRESS.sub(lambda found: f"127.0.0.1:{self.port(int(found[1]))}", text)

    def port(self, documented: int) -> int:
        """The port that stands for a documented one."""
        return 0 if documented == 0 else self._ports.setdefault(documented, free_port())

    def own(self, documented: int) -> int:
        """From now on another, free one stands for it."""
        self._ports[documented] = free_port()
        return self._ports[documented]

    def settings(self, text: str) -> str:
        """A documented ``pillion.yaml`` with addresses on 127.0.0.1 only, each on the port for its own or default."""
        given = yaml.safe_load(self.real(text)) or {}
        defaults = {
            "proxy": {"inbound": 15006, "outbound": 15001},
            "admin": {"listen": 15020, "health": 15021},
        }
        for section, addresses in defaults.items():
            mine = given.setdefault(section, {})
            for name, port in addresses.items():
                mine.setdefault(name, f"127.0.0.1:{self.port(port)}")
        return yaml.safe_dump(given, sort_keys=False)
