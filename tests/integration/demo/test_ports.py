"""The ports of tests that run at the same time."""

import contextlib
import subprocess
import sys
from pathlib import Path

from tests.ports import SHARE, free_port

ROOT = Path(__file__).parents[3]
GIVE = f"from tests.ports import free_port; print(*(free_port() for _ in range({SHARE // 4})), flush=True); input()"


def test_two_sessions_at_once_never_give_the_same_port() -> None:
    ours = {free_port() for _ in range(SHARE // 4)}
    argv = [sys.executable, "-c", GIVE]
    with contextlib.ExitStack() as last:
        others = [
            last.enter_context(
                subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        given = [{int(word) for word in _line(one).split()} for one in others]
        for one in others:
            one.communicate("\n", timeout=60)
    assert [len(ports) for ports in (ours, *given)] == [SHARE // 4] * 3
    assert not ours & given[0]
    assert not ours & given[1]
    assert not given[0] & given[1]


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()
