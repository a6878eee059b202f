"""A process that the supervisor holds, as a component: Envoy, and the service of ``run -- CMD``."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from agent.runtime.component import Ready
from agent.runtime.errors import Transient
from agent.runtime.health import Health
from agent.runtime.latest import Latest
from agent.runtime.supervisor import ChildState

log = structlog.get_logger(__name__)

Command = tuple[Sequence[str], Mapping[str, str]]
"""The arguments, program first, and the whole environment."""

MARGIN = 5.0
"""Seconds of a stop beyond the child's own: the supervisor's SIGKILL and its answer."""


class Holder(Protocol):
    """What a Child needs of the supervisor; see ``agent.runtime.supervisor.Supervisor`` for each."""

    @property
    def states(self) -> Latest[Mapping[str, ChildState]]:
        """The children's states by name."""

    async def start(
        self, child: str, argv: Sequence[str], env: Mapping[str, str], restart: bool = False
    ) -> ChildState:
        """Start it, or adopt what runs."""

    async def signal(self, child: str, signum: int) -> ChildState:
        """Send a signal to it."""

    async def stop(self, child: str, timeout: float) -> ChildState:
        """End it."""

    async def restart(
        self, child: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ChildState:
        """End it and start it anew."""


class Child:
    """Asks the supervisor for a process, adopting a running one, and watches it.

    Ready when ``answers()`` returned true, or at once without ``wait_ready``; ``answers`` must not raise
    for a process that is still starting. While the process is down it reports degraded and goes on. When it
    is stopped it stops the process only if the whole instance is leaving: an agent that is restarted leaves
    the process alone. ``command`` is asked anew for every start. With ``restarts`` the supervisor starts
    the process again whenever it ends by itself; without, such an end ends the whole instance and is the
    supervisor's business.
    """

    def __init__(
        self,
        name: str,
        supervisor: Holder,
        command: Callable[[], Command],
        answers: Callable[[], Awaitable[bool]],
        leaving: Latest[bool],
        *,
        stop_timeout: float,
        health: Health,
        wait_ready: bool = True,
        restarts: bool = False,
        interval: float = 0.1,
    ) -> None:
        self.name = name
        self.stop_budget = stop_timeout + MARGIN
        self._supervisor = supervisor
        self._command = command
        self._answers = answers
        self._leaving = leaving
        self._stop_timeout = stop_timeout
        self._health = health
        self._wait_ready = wait_ready
        self._restarts = restarts
        self._interval = interval

    async def run(self, ready: Ready) -> None:
        """Start or adopt the process, then watch it until cancelled."""
        try:
            argv, env = self._command()
            state = await self._supervisor.start(self.name, argv, env, self._restarts)
            log.info("child.started", child=self.name, pid=state.pid)
            if self._wait_ready:
                await self._until_answering()
            ready()
            await self._watch()
        finally:
            if self._leaving.value:
                await self._stop()

    async def restart(self) -> ChildState:
        """End the process within its stop timeout and start it with a fresh command; ends nothing else."""
        argv, env = self._command()
        return await self._supervisor.restart(self.name, argv, env, self._stop_timeout)

    async def signal(self, signum: int) -> ChildState:
        """Send a signal to the process."""
        return await self._supervisor.signal(self.name, signum)

    async def _stop(self) -> None:
        try:
            await self._supervisor.stop(self.name, self._stop_timeout)
        except Transient as error:  # the kernel ends the children of a supervisor that is gone
            log.warning("child.left", child=self.name, error=str(error))

    async def _until_answering(self) -> None:
        while not await self._answers():  # noqa: ASYNC110
            await asyncio.sleep(self._interval)  # nothing tells when a process begins to answer

    async def _watch(self) -> None:
        """Report each change of the process's state."""
        async for states in self._supervisor.states.values():
            state = states.get(self.name, ChildState())
            if state.running:
                self._health.ok()
            else:
                self._health.degraded(f"{self.name} does not run; {ending(state.status)}")


def ending(status: int | None) -> str:
    """How a process ended last, as a clause; ``status`` is an exit code or minus a signal's number."""
    if status is None:
        return "it never ended"
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with exit code {status}"
