"""A shell into which the commands of a page are typed, one after the other."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pages.world import Place

WITHIN = 120.0
"""Seconds that one command may take."""
STAYING = re.compile(r"pillion run |pillion gateway|(\S*/)?consul\S* agent ")
"""Commands that go on until they are interrupted."""


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    code: int
    lines: Sequence[str]
    """What it printed, errors too, as a terminal shows both."""


class Session:
    """Commands share the folder that they are in, and ``environ``. ``close`` interrupts what goes on."""

    def __init__(self, folder: Path, place: Place, environ: Mapping[str, str]) -> None:
        self.place = place
        self.environ = dict(environ)
        self._here = folder
        self._mark = folder / ".pwd"
        self._staying: list[tuple[str, subprocess.Popen[bytes], Path]] = []

    @property
    def here(self) -> Path:
        """The folder of the next command."""
        return self._here

    @property
    def goes_on(self) -> bool:
        """Whether something was started that goes on."""
        return bool(self._staying)

    def run(self, text: str, further: Mapping[str, str] | None = None) -> Done:
        """Type a command, with further variables, and wait for its end."""
        script = f'{text}\n_code=$?; pwd > {self._mark}; exit "$_code"'
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self._here,
            env={**self.environ, **(further or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        if self._mark.exists():
            self._here = Path(self._mark.read_text().strip())
        return Done(done.returncode, done.stdout.splitlines())

    def stay(self, text: str) -> None:
        """Type a command that goes on, as into a second terminal."""
        log = self._mark.parent / f"terminal-{len(self._staying)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=self._here,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._staying.append((text, process, log))

    def ended(self) -> str:
        """What those that should go on said before they ended; empty while all go on."""
        return "\n".join(
            f"{text} ended with {process.returncode}:\n{_tail(log)}"
            for text, process, log in self._staying
            if process.poll() is not None
        )

    def close(self, within: float = 40.0) -> list[str]:
        """Press Ctrl-C in each terminal, the last first; what was wrong with an end."""
        wrong = []
        for text, process, log in reversed(self._staying):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + within
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                wrong.append(f"{text} did not end at Ctrl-C:\n{_tail(log)}")
        return wrong


def stays(text: str) -> bool:
    """Whether a command goes on until it is interrupted."""
    return STAYING.match(text) is not None and "--help" not in text


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
