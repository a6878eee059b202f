"""The command on this machine, and what it found."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.demo import backing

Finding = dict[str, str]


class Doctor:
    """Runs ``pillion doctor --json`` with variables as settings, and remembers all that it found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = 0
        self.findings: list[Finding] = []
        self.everything: list[Finding] = []
        self.said = ""
        self.variables = {
            f"PILLION_{name}": f"127.0.0.1:{backing.free_port()}"
            for name in ("PROXY_INBOUND", "PROXY_OUTBOUND", "ADMIN_LISTEN", "ADMIN_HEALTH")
        }
        self.variables["PILLION_REGISTRY_ADDRESS"] = f"http://127.0.0.1:{backing.free_port()}"
        self.before: tuple[str, ...] = ()
        """What stands before the command, such as ``prlimit``."""
        self.program: tuple[str, ...] = ("-m", "agent")
        """What Python runs."""

    def __call__(self, *arguments: str, **variables: str) -> list[Finding]:
        """The findings; ``variables`` without their ``PILLION_``."""
        own = {f"PILLION_{name}": value for name, value in variables.items() if name.isupper()}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "XDG_STATE_HOME": str(self.folder / "state"),
            **self.variables,
            **own,
        }
        argv = [*self.before, sys.executable, *self.program, "doctor", "--json", *arguments]
        done = subprocess.run(
            argv, env=environ, capture_output=True, text=True, check=False, timeout=200, cwd=self.folder
        )
        assert done.stdout, done.stderr
        self.code, self.said = done.returncode, done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        self.findings = found["findings"]
        self.everything += self.findings
        assert found["ok"] == (self.code == 0)
        return self.findings

    def one(self, id_: str) -> Finding:
        """The only finding of that id in the last run."""
        (found,) = [one for one in self.findings if one["id"] == id_]
        return found

    def wrong(self) -> set[tuple[str, str]]:
        """Id and level of all in the last run that something is to be done about."""
        return {(one["id"], one["level"]) for one in self.findings if one["level"] in {"problem", "warning"}}


@pytest.fixture
def doctor(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Doctor]:
    """The command; afterwards what the test's marks ``provokes`` say must have been found, with what to do."""
    made = Doctor(short_folder)
    yield made
    for mark in request.node.iter_markers("provokes"):
        id_, level = mark.args
        found = [one for one in made.everything if (one["id"], one["level"]) == (id_, level)]
        assert found, f"{id_} was not a {level}"
        assert all(one["todo"] for one in found)
