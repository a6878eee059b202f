"""`pillion demo`, as someone runs it who has only installed Pillion."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.sidecar import clean
from tests.integration.packaging import builds
from tests.signals import heard
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)
"""The first that runs builds the wheel, too."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> builds.Environment:
    """An environment with the wheel and no checkout near."""
    checkout = builds.copy(tmp_path_factory.mktemp("checkout"))
    wheel = builds.build(checkout, tmp_path_factory.mktemp("wheel"))
    fresh = builds.environment(tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("elsewhere"))
    builds.pip(fresh, "install", "--no-deps", str(wheel))
    return fresh


class Demo:
    """A running `pillion demo`, what it writes, and the processes that belong to it."""

    def __init__(self, installed: builds.Environment, folder: Path, *options: str, **environ: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("wb") as output, heard(signal.SIGINT):
            self.process = subprocess.Popen(
                [installed.folder / "bin" / "pillion", "demo", *options],
                cwd=installed.cwd,
                env={**clean(os.environ), "TMPDIR": str(folder), **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def text(self) -> str:
        """Everything written so far."""
        return self.output.read_text(errors="replace")

    def left(self) -> list[str]:
        """The command lines of all processes that were given our folder as the place for temporary files."""
        mark = f"TMPDIR={self.folder}\0".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes() + b"\0":
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def end(self) -> None:
        """Make sure that nothing is left for the next test."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def demos(installed: builds.Environment, short_folder: Path) -> Iterator["Demos"]:
    """Starts demos and ends them with the test."""
    started = Demos(installed, short_folder)
    yield started
    for demo in started.all:
        demo.end()


class Demos:
    """The demos of one test."""

    def __init__(self, installed: builds.Environment, folder: Path) -> None:
        self._installed = installed
        self._folder = folder
        self.all: list[Demo] = []

    def start(self, *options: str, **environ: str) -> Demo:
        """Start one in the background."""
        folder = self._folder / str(len(self.all))
        folder.mkdir(mode=0o755)
        self.all.append(Demo(self._installed, folder, *options, **environ))
        return self.all[-1]


@pytest.mark.exclusive
async def test_the_whole_walk_passes_from_an_installed_wheel_and_leaves_nothing_behind(demos: Demos) -> None:
    demo = demos.start("--once", "--ports", "free")
    await until(lambda: demo.process.poll() is not None, within=500, every=0.5)
    assert demo.process.returncode == 0, demo.text
    assert "FAIL" not in demo.text
    assert demo.text.count("PASS") == 16
    assert "the critical path goes through" in demo.text
    assert "pillion explain GET http://orders/api/v1/orders" in demo.text
    assert "a rate limit came and went with a key in Consul" in demo.text
    assert "a stranger was reached and told nothing of the mesh" in demo.text
    assert "the row's change called inventory once, though the event was published twice" in demo.text
    await until(lambda: demo.left() == [])
    assert list(demo.folder.iterdir()) == [demo.output]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_ends_all_that_it_started(demos: Demos, sign: signal.Signals) -> None:
    demo = demos.start("--once", "--ports", "free")
    await until(lambda: len(demo.left()) > 12, within=240, every=0.1)
    demo.process.send_signal(sign)
    await until(lambda: demo.process.poll() is not None, within=120)
    assert demo.process.returncode == 130, demo.text
    await until(lambda: demo.left() == [])


async def test_a_killed_demo_leaves_nothing_running(demos: Demos) -> None:
    demo = demos.start("--once", "--ports", "free")
    await until(lambda: len(demo.left()) > 12, within=240, every=0.1)
    demo.process.kill()
    assert demo.process.wait() == -signal.SIGKILL
    await until(lambda: demo.left() == [], within=120)


async def test_a_port_in_use_is_named_before_anything_starts(demos: Demos) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 4222))
            taken.listen()
        except OSError:
            pass  # someone has it already, which is just as good
        demo = demos.start("--once")
        await until(lambda: demo.process.poll() is not None, within=120)
    assert demo.process.returncode == 1
    assert "4222 (nats)" in demo.text
    assert "--ports free" in demo.text
    assert "Starting" not in demo.text


async def test_a_missing_program_of_ones_own_choice_is_named(demos: Demos, tmp_path: Path) -> None:
    demo = demos.start("--once", "--ports", "free", PILLION_BIN_CONSUL=str(tmp_path / "consul"))
    await until(lambda: demo.process.poll() is not None, within=120)
    assert demo.process.returncode == 1
    assert "PILLION_BIN_CONSUL" in demo.text
    assert "Traceback" not in demo.text
