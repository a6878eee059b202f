"""A Child asks for its process, watches it, and stops it only when the whole instance leaves."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from agent.runtime.child import Child
from agent.runtime.errors import Permanent, Transient
from agent.runtime.health import Board, State
from agent.runtime.latest import Latest
from agent.runtime.supervisor import ChildState
from tests.unit.runtime import virtual


class Holder:
    """A supervisor that notes what it is asked; ``refusal`` is raised by every verb."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.states: Latest[Mapping[str, ChildState]] = Latest({})
        self.refusal: Exception | None = None

    async def _do(self, *asked: object) -> ChildState:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal
        self.states.set({"envoy": ChildState(pid=7, running=True)})
        return self.states.value["envoy"]

    async def start(
        self, child: str, argv: Sequence[str], env: Mapping[str, str], restart: bool = False
    ) -> ChildState:
        return await self._do("start", child, argv, env, restart)

    async def signal(self, child: str, signum: int) -> ChildState:
        return await self._do("signal", child, signum)

    async def stop(self, child: str, timeout: float) -> ChildState:
        return await self._do("stop", child, timeout)

    async def restart(
        self, child: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ChildState:
        return await self._do("restart", child, argv, env, timeout)


class Scene:
    """A Child named envoy on a Holder, its command counting how often it was asked."""

    def __init__(self) -> None:
        self.holder = Holder()
        self.leaving = Latest(False)
        self.board = Board(lambda: 0.0)
        self.commands = 0
        self.answering = False
        self.ready_at: float | None = None

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self.commands += 1
        return ["envoy"], {"N": str(self.commands)}

    async def answers(self) -> bool:
        return self.answering

    def child(self, wait_ready: bool = True) -> Child:
        return Child(
            "envoy",
            self.holder,
            self.command,
            self.answers,
            self.leaving,
            stop_timeout=30.0,
            health=self.board.of("envoy"),
            wait_ready=wait_ready,
            restarts=True,
        )

    def started(self, child: Child) -> "asyncio.Task[None]":
        loop = asyncio.get_running_loop()

        def ready() -> None:
            self.ready_at = loop.time()

        return asyncio.create_task(child.run(ready), name="envoy")


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_ready_once_the_process_answers(scene: Scene) -> None:
    async def main() -> None:
        task = scene.started(scene.child())
        await asyncio.sleep(60)
        assert scene.holder.asked == [("start", "envoy", ["envoy"], {"N": "1"}, True)]
        assert scene.ready_at is None
        scene.answering = True
        await asyncio.sleep(1)
        assert scene.ready_at == pytest.approx(60, abs=0.2)
        await ended(task)

    virtual.run(main())


def test_without_waiting_it_is_ready_at_once(scene: Scene) -> None:
    async def main() -> None:
        task = scene.started(scene.child(wait_ready=False))
        await asyncio.sleep(1)
        assert scene.ready_at == 0
        await ended(task)

    virtual.run(main())


@pytest.mark.parametrize("leaving", [True, False])
@pytest.mark.parametrize("answering", [True, False])
def test_the_process_is_stopped_only_when_the_whole_instance_leaves(
    scene: Scene, leaving: bool, answering: bool
) -> None:
    async def main() -> None:
        scene.answering = answering
        task = scene.started(scene.child())
        await asyncio.sleep(1)
        scene.leaving.set(leaving)
        await ended(task)
        assert task.cancelled()

    virtual.run(main())
    assert (("stop", "envoy", 30.0) in scene.holder.asked) is leaving


def test_a_supervisor_that_is_gone_at_the_stop_is_no_failure(scene: Scene) -> None:
    async def main() -> None:
        task = scene.started(scene.child())
        await asyncio.sleep(1)
        scene.holder.refusal = Transient("gone")
        scene.leaving.set(True)
        await ended(task)
        assert task.cancelled()

    virtual.run(main())


def test_a_refused_start_is_a_failure_of_the_component(scene: Scene) -> None:
    scene.holder.refusal = Permanent("can't start envoy: No such file or directory")

    async def main() -> None:
        await asyncio.wait_for(scene.started(scene.child()), 5)

    with pytest.raises(Permanent, match="No such file"):
        virtual.run(main())


def test_a_process_that_is_down_degrades_the_component_until_it_is_back(scene: Scene) -> None:
    def report() -> tuple[State, str]:
        return scene.board.reports["envoy"].state, scene.board.reports["envoy"].detail

    async def main() -> None:
        scene.answering = True
        task = scene.started(scene.child())
        await asyncio.sleep(1)
        assert report() == (State.OK, "")
        down = ChildState(status=-11)
        scene.holder.states.set({"envoy": down})
        await asyncio.sleep(1)
        assert report() == (State.DEGRADED, "envoy does not run; it was ended by signal 11")
        scene.holder.states.set({"envoy": replace(down, status=3)})
        await asyncio.sleep(1)
        assert report() == (State.DEGRADED, "envoy does not run; it ended with exit code 3")
        scene.holder.states.set({"envoy": ChildState(pid=8, running=True, restarts=1, status=-11)})
        await asyncio.sleep(1)
        assert report() == (State.OK, "")
        await ended(task)

    virtual.run(main())


def test_a_restart_takes_a_fresh_command_and_a_signal_is_passed_on(scene: Scene) -> None:
    async def main() -> None:
        child = scene.child()
        await child.restart()
        await child.restart()
        await child.signal(1)

    virtual.run(main())
    assert scene.holder.asked == [
        ("restart", "envoy", ["envoy"], {"N": "1"}, 30.0),
        ("restart", "envoy", ["envoy"], {"N": "2"}, 30.0),
        ("signal", "envoy", 1),
    ]


def test_its_stop_budget_exceeds_the_process_s_own_time(scene: Scene) -> None:
    assert scene.child().stop_budget > 30.0
