"""The whole instance: the agent and its children, how they start, how they leave, and the exit code."""

import signal

from agent.supervise.child import Child
from agent.supervise.minder import Minder, exit_code
from agent.supervise.requests import carry_out
from agent.supervise.say import say
from agent.supervise.spec import Spec
from agent.supervise.timers import Timer, Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.supervise import child, minder

    class System(child.System, minder.System, Protocol):
        """The operating system, as far as it is needed."""

        def tell(self, words: str) -> None:
            """Tell who started this process, in the words of sd_notify(3)."""


RETURN = 5.0
"""Seconds that a stop waits for an agent that is coming back from a crash: only it knows how to leave in order."""
BEYOND = 5.0
"""Seconds beyond the deadline that systemd is asked for: the end is to be ours."""
SAME_STOP = 1.0
"""A second signal this soon is the first one again: ``timeout`` signals a process, then its group."""


class Whole:
    """Decides; acts only through ``system`` and ``timers``. Over when ``code`` is not None.

    Leaving: the agent gets SIGTERM and stops everything in order through stop requests. When it has ended,
    or was killed because it used up its time, what still runs is stopped in reverse order of starting; at
    the deadline all is killed.
    """

    def __init__(self, spec: Spec, system: "System", timers: Timers) -> None:
        self.code: int | None = None
        self._spec = spec
        self._system = system
        self._timers = timers
        self._agent = Minder(spec, system, timers, self._take, self._give_up)
        self._children = {
            name: Child(name, system, timers, self._changed, self._ended_by_itself) for name in spec.children
        }
        self._leaving = False
        self._forced: int | None = None
        self._left_at = 0.0
        self._hastened = False
        self._return: Timer | None = None
        """Set while a stop waits for the agent."""

    def begin(self) -> None:
        """Start the agent."""
        self._agent.start()

    def signalled(self) -> None:
        """Someone asked this process to end; a second time it hurries, a third time it kills."""
        if not self._leaving:
            if self._return is None and self._agent.coming_back:
                say(
                    "info",
                    "supervisor.waiting",
                    because="the agent is coming back and will stop all in order",
                )
                self._return = self._timers.after(RETURN, self._leave_on_signal)
            elif self._return is None or self._timers.now() - self._left_at >= SAME_STOP:
                self._leave_on_signal()
        elif self._timers.now() - self._left_at < SAME_STOP:
            return
        elif not self._hastened:
            self._hasten()
        else:
            self._kill_all()
        self._left_at = self._timers.now()

    def _leave_on_signal(self) -> None:
        if not self._leaving:
            say("info", "supervisor.leaving", because="signal")
            self._leave()

    def reaped(self, pid: int, status: int) -> None:
        """A process of ours has ended; ``status`` is its exit code or minus a signal's number."""
        if pid == self._agent.pid:
            self._agent.ended(status, self._leaving)
        for one in self._children.values():
            if pid == one.pid:
                one.ended(status)
        self._advance()

    def owns(self, pid: int) -> bool:
        """Whether it is one of the processes that were started here."""
        return pid == self._agent.pid or any(pid == one.pid for one in self._children.values())

    def _take(self, link: "minder.Line", message: "dict[str, Any]") -> None:
        """Carry out one request; its answer goes to the agent that asked, or nowhere if that one is gone."""
        number, name = message.get("id"), message.get("child")

        def answer(problem: str | None) -> None:
            reply = {"id": number, **self._states()}
            if problem is not None:
                reply["error"] = problem
            elif isinstance(name, str) and name in self._children:
                reply["state"] = self._children[name].state
            link.send(reply)

        if message.get("do") in ("state", "ready", "serving"):  # a tuple: what came may be unhashable
            self._note(str(message["do"]))
            answer(None)
            if message["do"] == "ready" and self._return is not None:
                self._leave_on_signal()
            return
        carry_out(message, self._children, self._leaving, answer)
        if any(one.pid is not None for one in self._children.values()):
            self._agent.worked()

    def _note(self, word: str) -> None:
        if word == "ready":
            self._agent.ready()
        elif word == "serving" and not self._leaving:
            self._system.tell("READY=1")

    def _states(self) -> "dict[str, Any]":
        return {
            "states": {name: one.state for name, one in self._children.items()},
            "leaving": self._leaving,
        }

    def _changed(self) -> None:
        if self._agent.link is not None:
            self._agent.link.send(self._states())

    def _ended_by_itself(self, one: Child) -> None:
        if one.name == self._spec.main and not self._leaving:
            say("info", "supervisor.leaving", because=f"{one.name} ended", status=one.status)
            self._leave()

    def _give_up(self, code: int) -> None:
        self._forced = code
        self._leave()

    def _leave(self) -> None:
        self._leaving = True
        self._system.tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int((self._spec.deadline + BEYOND) * 1e6)}")
        if self._return is not None:
            self._return.cancel()
        self._left_at = self._timers.now()
        for one in self._children.values():
            one.hold()
        self._timers.after(max(0.0, self._spec.deadline - self._spec.grace), self._agent.kill)
        self._timers.after(self._spec.deadline, self._kill_all)
        self._changed()  # before the signal, so that the agent knows why it gets it
        self._agent.terminate()
        self._advance()

    def _hasten(self) -> None:
        """The agent's order is given up: all are asked to end at once and have the grace to do so."""
        self._hastened = True
        self._agent.kill()
        for one in self._children.values():
            one.stop(self._spec.grace, _nobody)

    def _kill_all(self) -> None:
        say("error", "supervisor.killing", because="the time to stop is over")
        self._hastened = True
        self._agent.kill()
        for one in self._children.values():
            one.kill()

    def _advance(self) -> None:
        """Once the agent has left, stop what still runs, one after the other; then it is over."""
        if not self._leaving or self._agent.pid is not None:
            return
        for one in reversed(self._children.values()):
            if one.pid is not None:
                one.stop(self._spec.deadline, _nobody)
                return
        self.code = self._exit_code()

    def _exit_code(self) -> int:
        if self._forced is not None:
            return self._forced
        main = self._children.get(self._spec.main)
        if main is None or main.status is None:
            return 0
        if main.asked and main.status in {-signal.SIGTERM, 128 + signal.SIGTERM}:
            return 0
        return exit_code(main.status)


def _nobody(_problem: str | None) -> None:
    """The answer to a verb that no agent asked for."""
