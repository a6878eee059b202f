"""A whole instance of stand-in programs under the real supervisor."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.supervised import supervised
from tests.signals import heard
from tests.waiting import until

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[3]


class Instance:
    """A supervisor with an agent, an "envoy" and a "service", all noting what happens to them in one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: dict[str, Any] = {
            "children": {"envoy": self.command("envoy", "0"), "service": self.command("service", "0")},
            "stop_timeout": 20.0,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.agent = [sys.executable, str(PROGRAMS / "stand_in_agent.py"), str(folder)]

    def command(self, name: str, on_term: str) -> list[str]:
        """The command of a stand-in child; see programs/stand_in_child.py."""
        return [
            sys.executable,
            "-I",
            "-S",
            str(PROGRAMS / "stand_in_child.py"),
            str(self.folder),
            name,
            on_term,
        ]

    def start(self, deadline: float = 60.0, **popen: Any) -> subprocess.Popen[bytes]:
        (self.folder / "plan.json").write_text(json.dumps(self.plan))
        argv = supervised(self.agent, self.folder / "state", deadline)
        orders = int(argv[-1])
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        popen.setdefault("start_new_session", True)
        popen.setdefault("stdin", subprocess.DEVNULL)
        with (self.folder / "output").open("ab") as output:
            popen.setdefault("stdout", output)
            popen.setdefault("stderr", output)
            passed = [orders, *popen.pop("pass_fds", ())]
            with heard(signal.SIGINT, signal.SIGHUP):
                self.process = subprocess.Popen(argv, env=env, pass_fds=passed, **popen)
        os.close(orders)
        return self.process

    def events(self) -> list[list[str]]:
        """All that happened so far: name, event, process id."""
        path = self.folder / "events"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def pids(self, name: str, event: str = "started") -> list[int]:
        """The processes to which it happened, in order."""
        return [int(pid) for who, what, pid in self.events() if (who, what) == (name, event)]

    def order(self, *events: str) -> list[str]:
        """Those of ``NAME event`` that happened, in the order in which they did."""
        happened = [f"{who} {what}" for who, what, _ in self.events()]
        return [event for event in happened if event in events]

    async def ready(self, count: int = 1) -> int:
        """Wait until an agent was ready for the ``count``-th time; its process id."""
        await until(lambda: len(self.pids("agent", "ready")) >= count, within=60)
        return self.pids("agent", "ready")[-1]

    async def ended(self, within: float = 60.0) -> int:
        """Wait for the supervisor's end; its exit status."""
        assert self.process is not None
        process = self.process
        await until(lambda: process.poll() is not None, within=within)
        return process.returncode

    def do(self, order: str) -> None:
        """Have the agent restart or signal a child."""
        beside = self.folder / "do.new"
        beside.write_text(order)
        beside.rename(self.folder / "do")

    def send(self, signum: int) -> None:
        """Signal the supervisor."""
        assert self.process is not None
        self.process.send_signal(signum)

    def running(self) -> list[list[str]]:
        """Processes of the instance that still run."""
        return [[who, pid] for who, what, pid in self.events() if what == "started" and is_running(int(pid))]

    def clear(self) -> list[list[str]]:
        """Kill what still runs and say what it was."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        left = self.running()
        for _, pid in left:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(int(pid), signal.SIGKILL)
        return left


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """An instance that is not started yet; a test must leave nothing of it running."""
    one = Instance(tmp_path)
    yield one
    ended = one.process is None or one.process.poll() is not None
    output = (tmp_path / "output").read_text(errors="replace") if (tmp_path / "output").exists() else ""
    left = one.clear()
    sys.stdout.write(f"{output}\n{one.events()}\n")
    assert ended, "the supervisor still ran"
    assert not left, f"left running: {left}"
