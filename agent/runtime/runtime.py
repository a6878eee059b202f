"""Components started in order, each after the one before is ready, and stopped in exact reverse."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from agent.runtime.component import Component
from agent.runtime.errors import PillionError
from agent.runtime.health import Board, Health, State
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

LAST_CALLS = (1.0, 1.0)
"""Seconds given after each further cancellation to a component that overran its budget."""


class ComponentFailed(PillionError):
    """A component raised, returned, or was not ready in time; ``__cause__`` is the reason, if any."""

    def __init__(self, component: str, what: str) -> None:
        super().__init__(f"component {component} {what}")
        self.component = component


class Runtime:
    """Runs components as one unit: all of them, in order, until one fails or ``run`` is cancelled.

    A bare TaskGroup would cancel all at once; here the order is kept. ``ready_timeout`` is the number of
    seconds that each component has until it must be ready; None: any time, and a start that hangs is ended
    by cancellation only.
    """

    def __init__(
        self, components: Sequence[Component], board: Board, *, ready_timeout: float | None = None
    ) -> None:
        names = [component.name for component in components]
        if len(set(names)) != len(names):
            raise ValueError(f"component names must be unique: {', '.join(names)}")
        self._components = tuple(components)
        self._board = board
        self._ready_timeout = ready_timeout
        self._turn = asyncio.Event()
        self._failures: list[ComponentFailed] = []
        self.started = Latest(False)
        """True while all components are ready and none is being stopped."""

    @property
    def stop_budget(self) -> float:
        """Seconds that a stop takes at most, with the last calls to every component that is overdue."""
        return sum(component.stop_budget + sum(LAST_CALLS) for component in self._components)

    async def run(self) -> None:
        """Start all, then run until cancelled or until a component fails; call once.

        On cancellation everything is stopped and CancelledError passes through; cancelling again during the
        stop changes nothing. After a failure everything else is stopped and an ExceptionGroup of
        ComponentFailed is raised, in the order in which they happened. No task of this Runtime outlives the
        call, except one that went on after repeated cancellation: it is abandoned and logged as
        ``component.abandoned``.
        """
        members: list[_Member] = []
        try:
            await self._start(members)
            await self._until(lambda: bool(self._failures))
        finally:
            self.started.set(False)
            await self._shielded_stop(members)
        raise ExceptionGroup("the agent ends because a component failed", self._failures)

    async def _start(self, members: list["_Member"]) -> None:
        for component in self._components:
            member = _Member(component, self._board, self._note_end, self._turn.set)
            members.append(member)
            await self._until_ready(member)
            if self._failures:
                return
            log.info("component.ready", component=component.name)
        self.started.set(True)

    async def _until_ready(self, member: "_Member") -> None:
        try:
            async with asyncio.timeout(self._ready_timeout):
                await self._until(lambda: member.ready or bool(self._failures))
        except TimeoutError:
            self._fail(member, f"was not ready within {self._ready_timeout:g} s", None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._turn.clear()
            await self._turn.wait()

    def _note_end(self, member: "_Member", error: BaseException | None) -> None:
        """A component's task ended by itself, or with an error while it was being stopped."""
        if member.stopping and error is None:
            return
        what = "ended by itself" if error is None else f"failed: {type(error).__name__}: {error}"
        self._fail(member, what, error)

    def _fail(self, member: "_Member", what: str, cause: BaseException | None) -> None:
        member.failed = True
        failure = ComponentFailed(member.name, what)
        failure.__cause__ = cause
        self._failures.append(failure)
        member.health.degraded(what)
        log.error("component.failed", component=member.name, problem=what, exc_info=cause)
        self._turn.set()

    async def _shielded_stop(self, members: Sequence["_Member"]) -> None:
        """Stop all in a task of its own, so that a further cancellation can't cut the order short."""
        stop = asyncio.create_task(_stop(members), name="runtime.stop")
        while not stop.done():
            try:
                await asyncio.wait({stop})
            except asyncio.CancelledError:
                log.info("runtime.already_stopping")
        stop.result()


async def _stop(members: Sequence["_Member"]) -> None:
    for member in reversed(members):
        await member.stop()


class _Member:
    """One started component: its task, and what became of it."""

    def __init__(
        self,
        component: Component,
        board: Board,
        ended: Callable[["_Member", BaseException | None], None],
        turn: Callable[[], None],
    ) -> None:
        self.name = component.name
        self.ready = False
        self.stopping = False
        self.failed = False
        self.health: Health = board.of(component.name)
        self._budget = component.stop_budget
        self._board = board
        self._ended = ended
        self._turn = turn
        self._task = asyncio.create_task(component.run(self._note_ready), name=component.name)
        self._task.add_done_callback(self._note_done)

    def _note_ready(self) -> None:
        self.ready = True
        if self._board.reports[self.name].state is State.STARTING:
            self.health.ok()
        self._turn()

    def _note_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._ended(self, task.exception())
        elif not self.stopping:
            self._ended(self, asyncio.CancelledError("cancelled by itself"))

    async def stop(self) -> None:
        """Cancel the component and wait for its end, at most its budget and the last calls."""
        self.stopping = True
        for seconds in (self._budget, *LAST_CALLS):
            if self._task.done():
                break
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=seconds)
            if not self._task.done():
                log.error("component.overdue", component=self.name, seconds=seconds)
        if not self._task.done():
            log.error("component.abandoned", component=self.name)
        elif not self.failed:
            self.health.stopped()
