"""The last resort ends a process that nothing else can."""

import subprocess
import sys
from pathlib import Path

from agent.runtime.deadline import Deadline

ROOT = Path(__file__).parents[3]


def run(code: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", f"from agent.runtime.deadline import Deadline\n{code}"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_hangs_in_c_with_all_signals_blocked_is_ended_and_says_where() -> None:
    done = run(
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "def stuck():\n"
        "    Deadline(0.2).arm()\n"
        "    sum(iter(int, 1))\n"  # one endless call into C
        "stuck()\n"
    )
    assert done.returncode == 1
    assert "in stuck" in done.stderr


def test_a_disarmed_deadline_ends_nothing() -> None:
    done = run(
        "import time\n"
        "deadline = Deadline(6)\n"  # longer than a busy machine stops a process between the next two lines
        "deadline.arm()\n"
        "deadline.disarm()\n"
        "time.sleep(6.5)\n"
        "print('alive')"
    )
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_disarming_what_was_never_armed_does_nothing() -> None:
    Deadline(1.0).disarm()
