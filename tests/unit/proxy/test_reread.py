"""What files hold, read again."""

import asyncio

import pytest

from agent.proxy.reread import Reread
from agent.runtime.health import Board, State


class Source:
    """Something that is read, and what was taken of it."""

    def __init__(self) -> None:
        self.value: str | Exception = "a"
        self.taken: list[str] = []
        self.board = Board(lambda: 0.0)
        self.judged: list[str] = []
        health = self.board.of("keys")
        self.reread = Reread("keys", self.read, self.judge, self.taken.append, first="a", health=health)

    def read(self) -> str:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def judge(self, value: str) -> None:
        self.judged.append(value)
        if value == "bad":
            raise ValueError("/x has no keys")

    @property
    def state(self) -> State:
        return self.board.reports["keys"].state


async def test_each_other_value_is_taken_once() -> None:
    source = Source()
    for value in ("a", "b", "b", "a"):
        source.value = value
        await source.reread.turn()
    assert source.taken == source.judged == ["b", "a"]


@pytest.mark.parametrize("wrong", [OSError(2, "No such file", "/x"), "bad"])
async def test_what_is_no_good_is_told_and_changes_nothing(wrong: Exception | str) -> None:
    source = Source()
    source.value = wrong
    await source.reread.turn()
    assert source.state is State.DEGRADED
    assert "/x" in source.board.reports["keys"].detail
    assert "the last good one stays in use" in source.board.reports["keys"].detail
    assert source.taken == []
    source.value = "b"
    await source.reread.turn()
    assert (source.state, source.taken) == (State.OK, ["b"])


async def test_it_is_ready_after_the_first_look() -> None:
    source, ready = Source(), asyncio.Event()
    task = asyncio.create_task(source.reread.run(ready.set))
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
