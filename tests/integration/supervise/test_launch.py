"""A child starts with a clean slate."""

import gc
import os
import signal
from pathlib import Path

import pytest

from agent.supervise.launch import CannotStart, launch


def status(path: Path) -> dict[str, int]:
    """The signal masks of a process that wrote its /proc/self/status to ``path``."""
    lines = (line.split(":") for line in path.read_text().splitlines() if line.startswith("Sig"))
    return {name: int(value, 16) for name, value in lines if name != "SigQ"}


def bit(number: int) -> int:
    return 1 << (number - 1)


def test_signals_are_as_they_were_before_python_came_and_what_was_ignored_stays_ignored(
    tmp_path: Path,
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        pid = launch(["sh", "-c", f"exec cat /proc/self/status > {tmp_path}/status"], os.environ)
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    masks = status(tmp_path / "status")
    assert masks["SigBlk"] == 0
    assert masks["SigIgn"] & bit(signal.SIGHUP)
    assert not masks["SigIgn"] & (bit(signal.SIGPIPE) | bit(signal.SIGXFSZ))


@pytest.mark.parametrize(
    ("program", "problem", "code"),
    [
        ("no-such-program", "can't start no-such-program: No such file or directory", 127),
        ("/etc/passwd/x", "can't start /etc/passwd/x: Not a directory", 127),
        ("/etc/passwd", "can't start /etc/passwd: Permission denied", 126),
        ("/", "can't start /: Permission denied", 126),
    ],
)
def test_a_program_that_can_not_be_executed_is_named_with_the_reason(
    program: str, problem: str, code: int
) -> None:
    gc.collect()  # what other tests left open is to be closed now, not meanwhile
    descriptors = _descriptors()
    with pytest.raises(CannotStart, match=problem) as caught:
        launch([program], {"PATH": "/usr/bin:/bin"})
    assert caught.value.code == code
    assert _descriptors() <= descriptors


def _descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_a_signal_that_comes_between_fork_and_exec_ends_the_child_and_is_not_taken_for_ours() -> None:
    ours: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: ours.append(number))
    try:
        for _ in range(30):
            pid = launch(["sleep", "60"], os.environ)
            os.kill(pid, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ours == []
