"""An operating system and a clock for the supervisor's decisions."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from agent.supervise.launch import CannotStart
from agent.supervise.spec import Spec
from agent.supervise.timers import Timers
from agent.supervise.whole import Whole


class Line:
    """The link to one life of the agent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.open = True

    def send(self, message: Mapping[str, object]) -> None:
        if self.open:
            self.sent.append(message)

    def close(self) -> None:
        self.open = False

    def answer(self, number: int) -> Any:
        """The answer to a request, None while there is none; a second answer is an error."""
        answers = [message for message in self.sent if message.get("id") == number]
        assert len(answers) <= 1
        return answers[0] if answers else None


class System:
    """Processes that run until the test ends them. ``missing`` programs can't be started."""

    def __init__(self) -> None:
        self.last = 100
        self.names: dict[int, str] = {}
        self.running: dict[int, str] = {}
        self.signals: list[tuple[str, int]] = []
        self.told_before: list[Any] = []
        """The last message that the agent had got before each signal."""
        self.missing: set[str] = set()
        self.lines: list[Line] = []
        self.take: Any = None
        self.told: list[str] = []

    def launch(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
        if argv[0] in self.missing:
            raise CannotStart(argv[0], 2)
        assert name not in self.running.values(), f"two of {name}"
        self.last += 1
        self.running[self.last] = self.names[self.last] = name
        return self.last

    def launch_agent(self, take: Any) -> tuple[int, Line]:
        pid = self.launch("agent", ["agent"], {})
        self.take = take
        self.lines.append(Line())
        return pid, self.lines[-1]

    def kill(self, pid: int, signum: int) -> None:
        self.signals.append((self.running[pid], signum))
        self.told_before.append(self.lines[-1].sent[-1:])

    def kill_group(self, pid: int) -> None:
        self.signals.append((self.running[pid], signal.SIGKILL))

    def tell(self, words: str) -> None:
        self.told.append(words)

    def pid(self, name: str) -> int | None:
        return next((pid for pid, one in self.running.items() if one == name), None)


class World:
    """A Whole on that system, with "envoy" and "service"."""

    def __init__(self, **spec: Any) -> None:
        self.now = 0.0
        self.system = System()
        self.timers = Timers(lambda: self.now)
        fields = {"agent": ["agent"], "dir": "/nowhere", "deadline": 40.0, "grace": 5.0, **spec}
        self.whole = Whole(Spec(fields), self.system, self.timers)
        self.number = 0
        self.whole.begin()

    @property
    def line(self) -> Line:
        """The newest life's link."""
        return self.system.lines[-1]

    def ask(self, do: str, child: str | None = None, **fields: Any) -> int:
        """Send a request from the newest life of the agent; its number."""
        self.number += 1
        message = {"id": self.number, "do": do, **fields}
        if child is not None:
            message["child"] = child
        self.system.take(self.line, message)
        return self.number

    def start(self, child: str, restart: bool = False, program: str = "program") -> Any:
        """Ask for a child and return the answer."""
        return self.line.answer(self.ask("start", child, argv=[program], env={}, restart=restart))

    def end(self, name: str, status: int) -> None:
        """A process ends."""
        pid = self.system.pid(name)
        assert pid is not None, f"{name} does not run"
        del self.system.running[pid]
        self.whole.reaped(pid, status)

    def wait(self, seconds: float) -> None:
        """Time passes; what is due on the way happens at its time."""
        until = self.now + seconds
        while (delay := self.timers.delay()) is not None and self.now + delay <= until:
            self.now += delay
            self.timers.run_due()
        self.now = until

    def back_after(self, name: str) -> float:
        """Let time pass until ``name`` runs; how much it was."""
        began = self.now
        while self.system.pid(name) is None:
            delay = self.timers.delay()
            assert delay is not None, f"{name} will never run again"
            self.wait(delay)
        return round(self.now - began, 6)

    def up(self) -> "World":
        """Bring everything up, the agent ready."""
        self.start("envoy", restart=True)
        self.start("service")
        self.ask("ready")
        return self
