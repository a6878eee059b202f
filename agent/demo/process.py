"""One server process: started when it answers, ended by its id, its output kept in a file."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.demo import bound
from agent.runtime.errors import Permanent


class Process:
    """A server that is started and ended from here. Synchronous, for the demo and for tests."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
        cwd: Path | None = None,
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._env = env
        self._user = user
        self._cwd = cwd
        self._answers = answers
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The running process's id, None when it does not run."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self, within: float = 60.0) -> None:
        """Start and wait until the server answers; raises Permanent when it does not."""
        self.launch()
        self.wait(within)

    def wait(self, within: float = 60.0) -> None:
        """Wait until the server answers; raises Permanent with its log's end when it does not."""
        deadline = time.monotonic() + within
        while True:
            asked = time.monotonic()  # before the look: a machine that slept through the rest gets one more
            if self._answered():
                return
            if self.pid is None or asked > deadline:
                self.kill()
                tail = self.log.read_text(errors="replace")[-2000:]
                raise Permanent(f"{self.name} did not start; its log {self.log} ends with:\n{tail}")
            time.sleep(0.05)

    def launch(self) -> None:
        """Start without waiting."""
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._bound(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    def terminate(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, without waiting."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(sign)

    def _bound(self) -> list[str]:
        """The command that ends with us even when we are killed.

        The kernel looks at the *thread* that starts it, and only the main one surely lives as long as we do.
        """
        main = threading.current_thread() is threading.main_thread()
        parent = str(os.getpid()) if main else "-"
        user = "-" if self._user is None else str(self._user)
        return [sys.executable, "-I", "-S", bound.__file__, parent, user, *self.argv]

    def _answered(self) -> bool:
        try:
            return self._answers()
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def stop(self, within: float = 20.0, sign: signal.Signals = signal.SIGTERM) -> int | None:
        """End it in order, by force after ``within`` seconds; the exit status, None if never started."""
        if self._child is None:
            return None
        if self._child.poll() is None:
            self.terminate(sign)
            try:
                self._child.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._child.returncode

    def kill(self) -> None:
        """End it at once with SIGKILL, and what it has started in its process group: that would keep its port."""
        if self._child is not None and self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
