"""The copy of the hook as a part of the start."""

import asyncio
import errno

from agent.runtime.health import Board, State
from agent.wiring import hook
from agent.wiring.hook import Hook
from tests.unit.runtime import virtual


class Copying:
    """Fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        if self.times <= self.failures:
            raise OSError(errno.EROFS, "Read-only file system")


def test_it_is_ready_when_the_copy_is_there() -> None:
    async def story() -> None:
        board, copying = Board(lambda: 0.0), Copying()
        ready = asyncio.Event()
        task = asyncio.create_task(Hook(copying, "/hook", board.of("hook")).run(ready.set))
        await ready.wait()
        assert copying.times == 1
        assert board.reports["hook"].state is State.OK
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(story())


def test_a_folder_that_is_read_only_is_told_and_holds_nothing_up(monkeypatch) -> None:
    async def at_once(act) -> None:
        act()

    monkeypatch.setattr(hook.asyncio, "to_thread", at_once)

    async def story() -> None:
        board, copying = Board(lambda: 0.0), Copying(failures=5)
        ready = asyncio.Event()
        task = asyncio.create_task(Hook(copying, "/hook", board.of("hook")).run(ready.set))
        await ready.wait()
        report = board.reports["hook"]
        assert (copying.times, report.state) == (1, State.DEGRADED)
        assert "tracing.carry_dir /hook: Read-only file system" in report.detail
        await asyncio.sleep(300)
        assert (copying.times, board.reports["hook"].state) == (6, State.OK)
        task.cancel()
        await asyncio.wait({task})

    virtual.run(story())
