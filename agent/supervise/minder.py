"""Keeping the agent alive: its lives, and when to start the next."""

import signal
from collections.abc import Callable, Mapping

from agent.supervise.launch import CannotStart
from agent.supervise.say import say
from agent.supervise.spec import Spec
from agent.supervise.timers import Timer, Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Line(Protocol):
        """What is needed of a Link."""

        def send(self, message: Mapping[str, object]) -> None:
            """Send one message; to a closed one it goes nowhere."""

        def close(self) -> None:
            """Close it."""

    Take = Callable[["Line", dict[str, Any]], None]

    class System(Protocol):
        """What is needed of the operating system."""

        def launch_agent(self, take: Take) -> tuple[int, Line]:
            """Start the agent with a new link whose messages go to ``take``; raises CannotStart."""

        def kill(self, pid: int, signum: int) -> None:
            """Send a signal to a process that was not reaped yet."""

        def kill_group(self, pid: int) -> None:
            """SIGKILL to a process that was not reaped yet and to all of its group."""


MISCONFIGURED = 2
"""The agent's exit code for a usage or a configuration that can't work."""

FIRST_DELAY = 0.1
LONGEST_DELAY, LONGEST_DELAY_OF_WORKING = 2.0, 0.5
"""A crash of an agent that worked is to be over within 2 s, its start included."""

STEADY = 10.0
"""A life this long was a good one: the next starts at once."""


class Minder:
    """The agent, started again at once when it ends, then with growing delays.

    ``give_up`` is called with an exit code when it can't work: it ended with code 2 before it ever was
    ready, or ``attempts`` lives in a row ended before it ever was ready or had a child started.
    """

    def __init__(
        self, spec: Spec, system: "System", timers: Timers, take: "Take", give_up: Callable[[int], None]
    ) -> None:
        self.pid: int | None = None
        self.link: Line | None = None
        self.restarts = 0
        self._spec = spec
        self._system = system
        self._timers = timers
        self._take = take
        self._give_up = give_up
        self._ever_ready = False
        self._ever_worked = False
        self._ready = False
        self._crashes = 0
        self._since = 0.0
        self._again: Timer | None = None

    def start(self) -> None:
        """Begin the next life."""
        self._again = None
        self._ready = False
        self._since = self._timers.now()
        try:
            self.pid, self.link = self._system.launch_agent(self._take)
        except CannotStart as error:
            say("error", "agent.cannot_start", problem=str(error))
            self._after_crash(error.code)

    def ready(self) -> None:
        """The agent said that it works."""
        self._ready = self._ever_ready = self._ever_worked = True

    @property
    def coming_back(self) -> bool:
        """It worked in an earlier life and is to work again in a moment; who stops now would miss its order."""
        return self._ever_ready and not self._ready

    def worked(self) -> None:
        """The agent had a child started: it is no agent that can't begin."""
        self._ever_worked = True

    def terminate(self) -> None:
        """Ask the running agent to end, and never start it again."""
        self.hold()
        if self.pid is not None:
            self._system.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the running agent at once, and never start it again."""
        self.hold()
        if self.pid is not None:
            self._system.kill_group(self.pid)

    def hold(self) -> None:
        """Let it end for good."""
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def ended(self, status: int, leaving: bool) -> None:
        """To be called when its process was reaped."""
        self.pid = None
        was_ready, self._ready = self._ready, False
        if self.link is not None:
            self.link.close()
            self.link = None
        if not leaving:
            self._after_crash(status, was_ready)

    def _after_crash(self, status: int, was_ready: bool = False) -> None:
        if status == MISCONFIGURED and not self._ever_ready:
            self._give_up(status)
            return
        if was_ready and self._timers.now() - self._since >= STEADY:
            self._crashes = 0
        self._crashes += 1
        if not self._ever_worked and 0 < self._spec.attempts <= self._crashes:
            say("error", "agent.given_up", status=status, attempts=self._crashes)
            self._give_up(exit_code(status))
            return
        delay = self._delay(was_ready)
        say("error", "agent.ended", status=status, starting_again_in=delay)
        self.restarts += 1
        self._again = self._timers.after(delay, self.start)

    def _delay(self, was_ready: bool) -> float:
        if self._crashes == 1:
            return 0.0
        longest = LONGEST_DELAY_OF_WORKING if was_ready else LONGEST_DELAY
        return float(min(FIRST_DELAY * 2 ** min(self._crashes - 2, 20), longest))


def exit_code(status: int) -> int:
    """What a shell would end with: the exit code, or 128 + the signal's number."""
    return status if status >= 0 else 128 - status
