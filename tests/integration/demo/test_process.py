"""A server's process is started and ended whole."""

import http.client
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.process import Process
from agent.runtime.errors import Permanent
from tests.waiting import until

WITH_A_WORKER = """
import os, pathlib, sys, time
if os.fork() == 0:
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def made() -> Iterator[list[Process]]:
    """Processes that end with the test."""
    processes: list[Process] = []
    yield processes
    for one in processes:
        one.kill()


def is_running(pid: int) -> bool:
    """Whether it exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_kill_also_ends_what_the_server_forked(made: list[Process], tmp_path: Path) -> None:
    """A worker that is left, such as gunicorn's, keeps the port from the next that is to have it."""
    note = tmp_path / "worker"
    server = Process("server", [sys.executable, "-c", WITH_A_WORKER, str(note)], tmp_path / "log")
    made.append(server)
    server.launch()
    worker = int(await until(lambda: note.exists() and note.read_text()))
    server.kill()
    await until(lambda: not is_running(worker))


def test_a_server_that_answers_as_its_time_is_over_has_started(made: list[Process], tmp_path: Path) -> None:
    """The one who waits may have been asleep for all of it."""
    looks = []

    def answers() -> bool:
        looks.append(1)
        if len(looks) == 1:
            time.sleep(0.3)
        return len(looks) > 1

    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    server = Process("server", argv, tmp_path / "log", answers=answers)
    made.append(server)
    server.start(within=0.2)
    assert server.pid is not None


def test_one_that_answers_nonsense_has_not_started_and_is_not_left(
    made: list[Process], tmp_path: Path
) -> None:
    def answers() -> bool:
        raise http.client.BadStatusLine("SSH-2.0")

    argv = [sys.executable, "-c", "import time; print('no', flush=True); time.sleep(600)"]
    server = Process("server", argv, tmp_path / "log", answers=answers)
    made.append(server)
    with pytest.raises(Permanent, match="server did not start"):
        server.start(within=1.0)
    assert server.pid is None
