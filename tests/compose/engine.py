"""Docker's and Compose's commands, and what they say about a project's containers."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.commands import CommandError, run

PROJECT_LABEL = "com.docker.compose.project"


def find_compose(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The command that is Compose here: $COMPOSE, else docker-compose, else docker's plugin."""
    if environ.get("COMPOSE"):
        return tuple(environ["COMPOSE"].split())
    return ("docker-compose",) if shutil.which("docker-compose") else ("docker", "compose")


@dataclass(frozen=True)
class Container:
    """One container as ``docker inspect`` describes it."""

    raw: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Docker's id of it."""
        return str(self.raw["Id"])

    @property
    def service(self) -> str:
        """Its name in the Compose file."""
        return str(self.raw["Config"]["Labels"]["com.docker.compose.service"])

    @property
    def long_running(self) -> bool:
        """Whether Docker starts it again when it ends; otherwise it has one thing to do."""
        return self.raw["HostConfig"]["RestartPolicy"]["Name"] in ("always", "unless-stopped")

    @property
    def started(self) -> datetime:
        """When it last started."""
        return datetime.fromisoformat(self.raw["State"]["StartedAt"])

    @property
    def pid(self) -> int:
        """Its first process, as the machine numbers it; 0 when it does not run."""
        return int(self.raw["State"]["Pid"])

    @property
    def state(self) -> str:
        """``healthy``, ``running`` without a health check, ``done``, or what is still wrong in Docker's words."""
        state = self.raw["State"]
        if state["Status"] == "exited" and not self.long_running and state["ExitCode"] == 0:
            return "done"
        if state["Status"] != "running":
            return f"{state['Status']} ({state['ExitCode']})"
        return str(state["Health"]["Status"]) if "Health" in state else "running"

    @property
    def well(self) -> bool:
        """Whether it is as it should be; of one without a health check is known only that it runs."""
        return self.state in (("healthy", "running") if self.long_running else ("done",))

    @property
    def failed(self) -> bool:
        """Whether it had one thing to do and ended without having done it."""
        return not self.long_running and self.state.startswith("exited")


class Project:
    """Compose files started under a project name of its own."""

    def __init__(self, file: Path, name: str, command: Sequence[str], *over: Path) -> None:
        """``over`` are files that change what the first says."""
        self.name = name
        files = [option for each in (file, *over) for option in ("-f", str(each))]
        self._compose = [*command, *files, "-p", name]

    def compose(self, *arguments: str, within: float = 600, both: bool = False) -> str:
        """Run one of Compose's commands; its output. Raises CommandError."""
        return run(*self._compose, *arguments, within=within, both=both)

    def once(self, service: str, *arguments: str, within: float = 120, both: bool = False) -> str:
        """Run a command in a new container of a service that is removed then."""
        return self.compose("run", "--rm", "-T", service, *arguments, within=within, both=both)

    def containers(self) -> dict[str, Container]:
        """The project's containers by service, those of ``once`` not among them."""
        ids = run(
            "docker", "ps", "-aq", "--no-trunc",
            "--filter", f"label={PROJECT_LABEL}={self.name}",
            "--filter", "label=com.docker.compose.oneoff=False",
        ).split()  # fmt: skip
        try:
            found = json.loads(run("docker", "inspect", "--type", "container", *ids)) if ids else []
        except CommandError:  # one was removed in between
            return self.containers()
        return {container.service: container for container in map(Container, found)}

    def container(self, service: str) -> Container:
        """The container of a service."""
        return self.containers()[service]

    def execute(self, service: str, *argv: str, env: Mapping[str, str] | None = None) -> str:
        """The output of a command in a running container; ``env`` is in no process list."""
        names = [option for name in env or () for option in ("-e", name)]
        return run("docker", "exec", *names, self.container(service).id, *argv, env=env, within=60)

    def port(self, service: str, port: int, protocol: str = "tcp") -> int:
        """Where a container's port is published on this machine."""
        published = self.container(service).raw["NetworkSettings"]["Ports"][f"{port}/{protocol}"]
        return int(published[0]["HostPort"])

    def crash(self, service: str) -> None:
        """Kill a container's first process, so that Docker sees it die; ``docker kill`` would keep it dead.

        Done in a container that sees the machine's processes, for who may use Docker may not be root.
        """
        victim = str(self.container(service).pid)
        python = "import os, sys; os.kill(int(sys.argv[1]), 9)"
        image = self.container("gateway").raw["Image"]
        run(
            "docker", "run", "--rm", "--pid", "host", "--user", "0", "--network", "none",
            "--cap-drop", "ALL", "--cap-add", "KILL", "--entrypoint", "python", image, "-c", python, victim,
        )  # fmt: skip

    def left(self) -> list[str]:
        """Everything that Docker still has of the project: containers, volumes and networks."""
        mine = ("--filter", f"label={PROJECT_LABEL}={self.name}")
        kinds = {
            "container": ("ps", "-aq"),
            "volume": ("volume", "ls", "-q"),
            "network": ("network", "ls", "-q"),
        }
        return [
            f"{kind} {name}" for kind, ask in kinds.items() for name in run("docker", *ask, *mine).split()
        ]
