"""Provokes errors of the command line in this process, as the table ``errors.yaml`` says."""

import contextlib
import fcntl
import functools
import os
import re
import shlex
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from agent.cli import group
from agent.cli.errors import ended
from tests.ports import free_port

TABLE = Path(__file__).with_name("errors.yaml")
SECRET = "hunter2"
"""What stands in the table for every secret: no message may hold it."""
FOREIGN = ("PILLION", "CONSUL", "OTEL", "KUBERNETES")


@functools.cache
def table() -> Mapping[str, Any]:
    """``files``, ``programs`` and ``cases`` as the file has them."""
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
    page: int
    """One at which every question is answered with a page of HTML."""

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
        return (
            ("FOLDER", str(self.folder)),
            ("DEAD", str(self.dead)),
            ("TAKEN", str(self.taken)),
            ("PAGE", str(self.page)),
        )


@contextlib.contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A folder with the table's files and programs, and the ports of the table, which it names nowhere itself."""
    named = {int(number) for number in re.findall(r"\d+", TABLE.read_text(encoding="utf-8"))}
    with socket.socket() as taken, _page() as page:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = Place(folder, free_port(named), taken.getsockname()[1], page)
        for name, text in table()["files"].items():
            (folder / name).write_bytes(text if isinstance(text, bytes) else found.filled(text).encode())
        for name, text in table()["programs"].items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "held").mkdir()
        with (folder / "held" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield found


@contextlib.contextmanager
def _page() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Page(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hunter2")

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing."""


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
    if "file" in case:
        Path("case.yaml").write_text(where.filled(case["file"]))
    arguments = shlex.split(where.filled(case.get("pillion", "config check case.yaml")))
    patch.setattr(sys, "argv", ["pillion", *arguments])
    patch.setattr(os, "execv", _started)
    _without_help(patch)
    return ended(group, arguments)


def _without_help(patch: pytest.MonkeyPatch) -> None:
    """click keeps a command's help option as its first context wanted it, and other tests of this process may have run
    a command without the program around it."""
    loaded = [module for name, module in sys.modules.items() if name.startswith("agent.cli.")]
    for found in [one for module in loaded for one in vars(module).values()]:
        if isinstance(found, click.Command):
            patch.setattr(found, "_help_option", None)


def _started(_program: str, argv: list[str]) -> None:
    raise AssertionError(f"it was started: {argv}")


def _forget(patch: pytest.MonkeyPatch, library: str, modules: list[str]) -> None:
    """Have the library missing, and those of our modules imported anew that import it."""
    for name in [one for one in sys.modules if one.startswith(tuple(modules))]:
        patch.delitem(sys.modules, name)
    patch.setitem(sys.modules, library, None)
