"""Three servers of Consul that keep their data and each other's company, and client agents of theirs."""

import json
from pathlib import Path

from agent.demo import backing
from agent.demo.process import Process


class Member(Process):
    """A client agent; what a member knows survives a kill."""

    def __init__(
        self, folder: Path, name: str, ports: dict[str, int], others: list[str], **more: object
    ) -> None:
        self.http = ports["http"]
        self.url = f"http://127.0.0.1:{self.http}"
        folder.mkdir(parents=True)
        options = {
            "node_name": name,
            "retry_join": others,
            "retry_interval": "1s",
            "data_dir": str(folder / "data"),
            "ports": {**ports, "dns": -1, "grpc": -1, "grpc_tls": -1},
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "log_level": "warn",
            "disable_update_check": True,
            **more,
        }
        file = folder / "consul.json"
        file.write_text(json.dumps(options))
        argv = [backing.binary("consul"), "agent", f"-config-file={file}"]
        super().__init__(f"Consul {name}", argv, folder / "consul.log", answers=self._serves)

    def _serves(self) -> bool:
        with backing.direct().open(f"{self.url}/v1/status/leader", timeout=1) as answer:
            led = bool(json.load(answer))
        return led and backing.http_ok(f"{self.url}/v1/catalog/nodes")


class Server(Member):
    """One of three."""

    def __init__(
        self, folder: Path, number: int, ports: dict[str, int], others: list[str], **more: object
    ) -> None:
        serving = {"server": True, "bootstrap_expect": 3, "performance": {"raft_multiplier": 1}, **more}
        super().__init__(folder, f"server-{number}", {**ports, "serf_wan": -1}, others, **serving)


class Servers:
    """The cluster; ``more`` is for the configuration of each."""

    def __init__(self, folder: Path, **more: object) -> None:
        self._folder = folder
        self._taken: set[int] = set()
        ports = [self._ports() for _ in range(3)]
        self._joined = [f"127.0.0.1:{one['serf_lan']}" for one in ports]
        self.all = [
            Server(folder / str(number), number, one, self._joined, **more)
            for number, one in enumerate(ports)
        ]

    def _ports(self) -> dict[str, int]:
        def port() -> int:
            self._taken.add(chosen := backing.free_port(self._taken))
            return chosen

        return {name: port() for name in ("http", "server", "serf_lan")}

    def client(self, name: str) -> Member:
        """A client agent of the cluster; the caller starts and ends it."""
        return Member(self._folder / name, name, self._ports(), self._joined)

    def start(self) -> None:
        """Returns when there is a leader that all know."""
        for server in self.all:
            server.launch()
        for server in self.all:
            server.wait(60.0)

    def stop(self) -> None:
        """End them all."""
        for server in self.all:
            server.kill()

    def leader(self) -> Server:
        """The one that leads now; raises AssertionError while nobody does."""
        for server in self.all:
            with backing.direct().open(f"{server.url}/v1/agent/self", timeout=30) as answer:
                if json.load(answer)["Stats"]["consul"]["leader"] == "true":
                    return server
        raise AssertionError("nobody leads")
