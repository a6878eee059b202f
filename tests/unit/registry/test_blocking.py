"""The rules for the index of a blocking query."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agent.registry import blocking
from agent.runtime.errors import Permanent, PillionError, Transient


class Script:
    """Consul's answers in order; the client's side of them."""

    def __init__(self, *answers: tuple[int, str] | PillionError) -> None:
        self.answers: Iterator[tuple[int, str] | PillionError] = iter(answers)
        self.asked: list[int] = []
        self.waits: list[float] = []
        self.seen: list[str] = []
        self.errors: list[PillionError] = []
        self.breaks = 0
        self.credentials = 0

    def broken(self) -> None:
        self.breaks += 1

    async def ask(self, index: int, wait: float) -> tuple[int, str]:
        self.asked.append(index)
        self.waits.append(wait)
        answer = next(self.answers, None)
        if answer is None:
            raise asyncio.CancelledError
        if isinstance(answer, PillionError):
            raise answer
        return answer

    async def see(self, answer: str) -> None:
        self.seen.append(answer)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the loop would have slept."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(blocking.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    return slept


async def follow(script: Script, *, streamed: bool = True) -> Script:
    client: Any = script
    with pytest.raises(asyncio.CancelledError):
        await blocking.follow(client, script.ask, script.see, script.errors.append, streamed=streamed)
    return script


async def test_the_first_question_does_not_block_and_each_later_one_carries_the_index() -> None:
    script = await follow(Script((5, "a"), (7, "b"), (7, "b")))
    assert script.asked == [0, 5, 7, 0]
    assert script.waits == [0.0, blocking.WAIT, blocking.WAIT, 0.0]
    assert script.seen == ["a", "b", "b"]


async def test_a_wait_without_news_is_followed_by_a_question_that_does_not_wait() -> None:
    """Only such a one is refused when the token is gone; one that waits is told the old again."""
    script = await follow(Script((7, "a"), (7, "a"), (7, "a"), (9, "b")))
    assert script.asked == [0, 7, 0, 7, 9]


async def test_a_wait_without_news_of_what_is_read_from_the_store_is_followed_by_the_next() -> None:
    script = Script((7, "a"), (7, "a"), (9, "b"), (3, "c"), (3, "c"), (3, "c"))
    await follow(script, streamed=False)
    assert script.asked == [0, 7, 7, 9, 0, 3, 3]
    assert (script.seen, script.breaks) == (["a", "a", "b", "c", "c"], 1)


async def test_an_index_that_goes_backwards_is_dropped_and_counts_as_a_break() -> None:
    script = await follow(Script((50, "a"), (11, "b"), (12, "c")))
    assert script.asked == [0, 50, 0, 12]
    assert (script.seen, script.breaks) == (["a", "c"], 1)


async def test_an_empty_answer_to_a_token_that_is_gone_is_not_believed() -> None:
    script = await follow(Script((50, "a"), (1, ""), Permanent("denied"), (51, "b")))
    assert script.asked == [0, 50, 0, 0, 51]
    assert script.seen == ["a", "b"]


async def test_a_question_that_waits_is_asked_again_when_the_token_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocking, "LOOK", 0.01)
    script = Script((5, "a"), (6, "b"))
    script.credentials = 1
    asked: list[int] = []
    cancelled: list[int] = []

    async def ask(index: int, wait: float) -> tuple[int, str]:
        asked.append(index)
        if index == 5:
            script.credentials = 2
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(index)
        return await script.ask(index, wait)

    client: Any = script
    with pytest.raises(asyncio.CancelledError):
        await blocking.follow(client, ask, script.see, script.errors.append)
    assert (asked, cancelled) == ([0, 5, 0, 6], [5])
    assert (script.seen, script.errors) == (["a", "b"], [])


async def test_an_index_of_0_is_never_used() -> None:
    assert (await follow(Script((0, "a"), (0, "b")))).asked == [0, 1, 0]


@pytest.mark.parametrize("error", [Transient("away"), Permanent("denied")])
async def test_after_an_error_the_index_is_dropped_and_the_error_told(error: PillionError) -> None:
    script = await follow(Script((5, "a"), error, (5, "a")))
    assert script.asked == [0, 5, 0, 5]
    assert script.errors == [error]


async def test_errors_in_a_row_are_asked_again_ever_later_and_never_later_than_3_s(
    pauses: list[float],
) -> None:
    await follow(Script(*[Transient("away")] * 8, (5, "a"), Transient("away")))
    delays = pauses[:8]
    assert 0.1 <= delays[0] <= 0.2
    assert max(delays) <= 3.0
    assert delays[-1] >= 1.5
    assert pauses[8:][-1] <= 0.2, "after a success the delay starts small again"


async def test_a_delay_that_consul_asked_for_is_kept(pauses: list[float]) -> None:
    await follow(Script(Transient("busy", delay=9.0)))
    assert pauses == [9.0]


async def test_answers_that_never_end_are_asked_for_ten_times_a_second_after_a_burst(
    pauses: list[float],
) -> None:
    await follow(Script(*[(number, "a") for number in range(1, 61)]))
    assert pauses[: blocking.BURST] == [blocking.PAUSE] * blocking.BURST
    assert pauses[-1] == pytest.approx((60 - blocking.BURST) / blocking.RATE, abs=0.1)
