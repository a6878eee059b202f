"""Provokes errors of the command line in this process, as the table ``errors.yaml`` says."""

import contextlib
import fcntl
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.cli import group
from agent.cli.errors import ended
from tests.ports import free_port

TABLE = Path(__file__).with_name("errors.yaml")
SECRET = "hunter2"
"""What stands in the table for every secret: no message may hold it."""
FOREIGN = ("PILLION", "CONSUL", "OTEL", "KUBERNETES")


def table() -> Mapping[str, Any]:
    """``files``, ``unwritable`` and ``cases`` as the file has them."""
    found: Mapping[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Place:
    """Where a case happens; the words of the table stand for what differs from run to run."""

    folder: Path
    dead: int
    """A port of 127.0.0.1 that refuses connections."""
    taken: int
    """One at which something listens that is no Pillion."""

    def filled(self, text: str) -> str:
        """The table's text with what its words stand for here."""
        for word, value in self._words():
            text = text.replace(word, value)
        return text

    def plain(self, text: str) -> str:
        """What was said, with the table's words in it."""
        for word, value in self._words():
            text = text.replace(value, word)
        return text

    def _words(self) -> tuple[tuple[str, str], ...]:
        return ("FOLDER", str(self.folder)), ("DEAD", str(self.dead)), ("TAKEN", str(self.taken))


@contextlib.contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A folder with the table's files, a port that refuses and one that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = Place(folder, free_port(), taken.getsockname()[1])
        for name, text in table()["files"].items():
            (folder / name).write_bytes(text if isinstance(text, bytes) else found.filled(text).encode())
        (folder / "held").mkdir()
        with (folder / "held" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield found


def ends(case: Mapping[str, Any], where: Place, patch: pytest.MonkeyPatch) -> int:
    """Run the case's command line; its exit code. What it starts is not started."""
    for name in [one for one in os.environ if one.startswith(FOREIGN)]:
        patch.delenv(name)
    patch.setenv("XDG_STATE_HOME", str(where.folder / "state"))
    for name, value in case.get("environment", {}).items():
        patch.setenv(name, where.filled(str(value)))
    for library in case.get("without", ()):
        _forget(patch, library, case["forget"])
    patch.chdir(where.folder)
    arguments = shlex.split(where.filled(case["pillion"]))
    patch.setattr(sys, "argv", ["pillion", *arguments])
    patch.setattr(os, "execv", _started)
    return ended(group, arguments)


def _started(_program: str, argv: list[str]) -> None:
    raise AssertionError(f"it was started: {argv}")


def _forget(patch: pytest.MonkeyPatch, library: str, modules: list[str]) -> None:
    """Have the library missing, and those of our modules imported anew that import it."""
    for name in [one for one in sys.modules if one.startswith(tuple(modules))]:
        patch.delitem(sys.modules, name)
    patch.setitem(sys.modules, library, None)
