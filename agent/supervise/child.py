"""One supervised child as a state machine with idempotent verbs."""

import signal
from collections.abc import Callable, Mapping, Sequence

from agent.supervise.launch import CannotStart
from agent.supervise.say import say
from agent.supervise.timers import Timer, Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class System(Protocol):
        """What a child needs of the operating system."""

        def launch(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
            """Start a process and return its id; raises CannotStart."""

        def kill(self, pid: int, signum: int) -> None:
            """Send a signal to a process that was not reaped yet."""

        def kill_group(self, pid: int) -> None:
            """SIGKILL to a process that was not reaped yet and to all of its group."""


Answer = Callable[[str | None], None]
"""Called once when a verb is done: with None, or with why it failed."""

FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
STEADY = 10.0
"""A process that ran this long was well: its next restart is quick again."""


class Child:
    """A process that is not running, running, being stopped (perhaps to be started again), or waiting for
    its restart.

    The verb that came last wins. ``changed`` is called after each start and end; ``ended_by_itself`` after
    an end that was not asked for and that no restart follows.
    """

    def __init__(
        self,
        name: str,
        system: "System",
        timers: Timers,
        changed: Callable[[], None],
        ended_by_itself: Callable[["Child"], None],
    ) -> None:
        self.name = name
        self.pid: int | None = None
        self.status: int | None = None
        """How it ended last: exit code, or minus the signal's number."""
        self.restarts = 0
        self.asked = False
        self._system = system
        self._timers = timers
        self._changed = changed
        self._ended_by_itself = ended_by_itself
        self._command: tuple[Sequence[str], Mapping[str, str]] = ((), {})
        self._restart = False
        self._stopping = False
        self._start_after = False
        self._kill: Timer | None = None
        self._again: Timer | None = None
        self._waiting: list[Answer] = []
        self._crashes = 0
        self._since = 0.0

    @property
    def state(self) -> dict[str, int | bool | None]:
        """What the agent is told."""
        return {"pid": self.pid, "status": self.status, "restarts": self.restarts, "asked": self.asked}

    def start(self, argv: Sequence[str], env: Mapping[str, str], restart: bool, answer: Answer) -> None:
        """Start it unless it runs or waits for its restart; a later restart takes the command given last."""
        self._command, self._restart = (argv, env), restart
        if self._stopping:
            self._start_after = True
            self._waiting.append(answer)
        elif self.pid is None and self._again is None:
            self._waiting.append(answer)
            self._launch()
        else:
            answer(None)

    def signal(self, signum: int, answer: Answer) -> None:
        """Send a signal to the running process."""
        if self.pid is None:
            answer(f"{self.name} does not run")
            return
        self._system.kill(self.pid, signum)
        answer(None)

    def stop(self, timeout: float, answer: Answer) -> None:
        """End it, by force after ``timeout`` seconds, and leave it so; answers when it has ended."""
        self._start_after = False
        self._cancel_again()
        if self.pid is None:
            answer(None)
            return
        self._waiting.append(answer)
        self._terminate(timeout)

    def restart(self, argv: Sequence[str], env: Mapping[str, str], timeout: float, answer: Answer) -> None:
        """End it as ``stop`` does if it runs, then start it."""
        self._command = (argv, env)
        self._waiting.append(answer)
        self._cancel_again()
        if self.pid is None:
            self._launch()
            return
        self._start_after = True
        self._terminate(timeout)

    def hold(self) -> None:
        """From now on let it end for good, however it ends."""
        self._restart = self._start_after = False
        self._cancel_again()

    def kill(self) -> None:
        """End it and its group at once, as asked for."""
        if self.pid is not None:
            self._stopping = True
            self._system.kill_group(self.pid)

    def ended(self, status: int) -> None:
        """To be called when its process was reaped."""
        self.pid, self.status = None, status
        self.asked, self._stopping = self._stopping, False
        if self._kill is not None:
            self._kill.cancel()
            self._kill = None
        if self.asked:
            self._after_stop()
        else:
            say("warning", "child.ended", child=self.name, status=status)
            self._after_crash()

    def _after_stop(self) -> None:
        if self._start_after:
            self._start_after = False
            self._launch()
            return
        self._changed()
        self._tell(None)

    def _after_crash(self) -> None:
        if self._restart:
            self._launch_later()
            self._changed()
        else:
            self._changed()
            self._ended_by_itself(self)

    def _terminate(self, timeout: float) -> None:
        assert self.pid is not None
        if not self._stopping:
            self._stopping = True
            self._system.kill(self.pid, signal.SIGTERM)
        if self._kill is None or self._timers.now() + timeout < self._kill.due:
            if self._kill is not None:
                self._kill.cancel()
            self._kill = self._timers.after(timeout, self.kill)

    def _launch(self) -> None:
        """Start it because the agent asked: a failure is the answer, and for the main child its end."""
        try:
            self._run()
        except CannotStart as error:
            say("error", "child.cannot_start", child=self.name, problem=str(error))
            self.status, self.asked = error.code, False
            self._changed()
            self._tell(str(error))
            self._ended_by_itself(self)
            return
        self._changed()
        self._tell(None)

    def _launch_again(self) -> None:
        self._again = None
        self.restarts += 1
        try:
            self._run()
        except CannotStart as error:
            say("error", "child.cannot_start", child=self.name, problem=str(error))
            self.status = error.code
            self._launch_later()
        self._changed()

    def _launch_later(self) -> None:
        if self._timers.now() - self._since >= STEADY:
            self._crashes = 0
        delay = min(FIRST_DELAY * 2 ** min(self._crashes, 20), LONGEST_DELAY)
        self._crashes += 1
        self._again = self._timers.after(delay, self._launch_again)

    def _run(self) -> None:
        self._since = self._timers.now()
        self.pid = self._system.launch(self.name, *self._command)

    def _cancel_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _tell(self, problem: str | None) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer(problem)
