"""Components start in order, stop in exact reverse, and leave nothing behind."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.runtime.component import Ready
from agent.runtime.health import Board, State
from agent.runtime.runtime import ComponentFailed, Runtime
from tests.unit.runtime import virtual


class Part:
    """A component that notes what happens to it. All times are seconds."""

    def __init__(
        self,
        name: str,
        happened: list[str],
        *,
        ready_after: float | None = 1.0,
        lives: float | None = None,
        error: Exception | None = None,
        clean_up: float = 0.0,
        stubborn: int = 0,
        stop_error: Exception | None = None,
        stop_budget: float = 5.0,
    ) -> None:
        self.name = name
        self.stop_budget = stop_budget
        self._happened = happened
        self._ready_after = ready_after
        self._lives = lives
        self._error = error
        self._clean_up = clean_up
        self._stubborn = stubborn
        self._stop_error = stop_error

    async def run(self, ready: Ready) -> None:
        self._happened.append(f"start {self.name}")
        try:
            await self._live(ready)
        except asyncio.CancelledError:
            await self._end()
            raise

    async def _live(self, ready: Ready) -> None:
        if self._ready_after is not None:
            await asyncio.sleep(self._ready_after)
            self._happened.append(f"ready {self.name}")
            ready()
        await (asyncio.Event().wait() if self._lives is None else asyncio.sleep(self._lives))
        self._happened.append(f"end {self.name}")
        if self._error is not None:
            raise self._error

    async def _end(self) -> None:
        self._happened.append(f"cancel {self.name}")
        for _ in range(self._stubborn):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.sleep(self._clean_up)
        if self._stop_error is not None:
            raise self._stop_error
        self._happened.append(f"stop {self.name}")


class Story:
    """A runtime of parts, run in virtual time."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.board = Board(lambda: 0.0)
        self.took = 0.0

    def part(self, name: str, **how: object) -> Part:
        return Part(name, self.happened, **how)  # type: ignore[arg-type]

    def run(
        self,
        parts: Sequence[Part],
        *,
        cancel_at: Sequence[float] = (),
        ready_timeout: float | None = None,
        look: Callable[[Runtime], None] = lambda _: None,
    ) -> BaseException:
        """Run until the end, cancelled at each of the given times; returns what was raised."""

        async def main() -> BaseException:
            runtime = Runtime(parts, self.board, ready_timeout=ready_timeout)
            task = asyncio.create_task(runtime.run(), name="runtime")
            loop = asyncio.get_running_loop()
            for when in cancel_at:
                loop.call_later(when, task.cancel)
                loop.call_later(when - 0.01, look, runtime)
            await asyncio.wait({task})
            self.took = loop.time()
            if task.cancelled():
                return asyncio.CancelledError()
            error = task.exception()
            assert error is not None
            return error

        return virtual.run(main())

    def failures(self, error: BaseException) -> list[str]:
        assert isinstance(error, ExceptionGroup)
        assert all(isinstance(one, ComponentFailed) for one in error.exceptions)
        return [str(one) for one in error.exceptions]


@pytest.fixture
def story() -> Story:
    return Story()


def test_each_component_starts_after_the_one_before_is_ready_and_all_stop_in_reverse(story: Story) -> None:
    error = story.run([story.part("a"), story.part("b"), story.part("c")], cancel_at=[10])
    assert isinstance(error, asyncio.CancelledError)
    assert story.happened == [
        *("start a", "ready a", "start b", "ready b", "start c", "ready c"),
        *("cancel c", "stop c", "cancel b", "stop b", "cancel a", "stop a"),
    ]


def test_it_says_when_all_are_started_and_the_board_follows(story: Story) -> None:
    seen: list[tuple[bool, list[State]]] = []

    def look(runtime: Runtime) -> None:
        seen.append((runtime.started.value, [report.state for report in story.board.reports.values()]))

    story.run([story.part("a"), story.part("b")], cancel_at=[10], look=look)
    story.run([story.part("c"), story.part("d")], cancel_at=[1.5], look=look)
    assert seen[0] == (True, [State.OK, State.OK])
    assert seen[1] == (False, [State.STOPPED, State.STOPPED, State.OK, State.STARTING])


def test_a_component_that_raises_ends_all_others_in_reverse_and_is_named(story: Story) -> None:
    cause = ValueError("no such thing")
    error = story.run([story.part("a"), story.part("b", lives=5, error=cause), story.part("c")])
    assert story.failures(error) == ["component b failed: ValueError: no such thing"]
    assert error.exceptions[0].__cause__ is cause  # type: ignore[attr-defined]
    assert story.happened[-4:] == ["cancel c", "stop c", "cancel a", "stop a"]
    assert [report.state for report in story.board.reports.values()] == [
        *(State.STOPPED, State.DEGRADED, State.STOPPED)
    ]


def test_a_component_that_returns_has_failed(story: Story) -> None:
    error = story.run([story.part("a"), story.part("b", lives=5), story.part("c")])
    assert story.failures(error) == ["component b ended by itself"]
    assert story.happened[-4:] == ["cancel c", "stop c", "cancel a", "stop a"]


def test_a_component_that_fails_while_a_later_one_starts_stops_the_start(story: Story) -> None:
    error = story.run([story.part("a", lives=1), story.part("b", ready_after=None), story.part("c")])
    assert story.failures(error) == ["component a ended by itself"]
    assert "start c" not in story.happened
    assert story.happened[-2:] == ["cancel b", "stop b"]


def test_a_component_that_fails_before_it_is_ready_is_named(story: Story) -> None:
    broken = story.part("a", ready_after=None, lives=0, error=OSError("in use"))
    error = story.run([broken, story.part("b")])
    assert story.failures(error) == ["component a failed: OSError: in use"]
    assert "start b" not in story.happened


def test_a_component_that_is_cancelled_by_something_else_has_failed(story: Story) -> None:
    error = story.run([story.part("a", lives=1, error=asyncio.CancelledError())])  # type: ignore[arg-type]
    assert story.failures(error) == ["component a failed: CancelledError: cancelled by itself"]


def test_all_components_that_fail_are_named_in_the_order_of_failing(story: Story) -> None:
    parts = [
        story.part("a", stop_error=KeyError("x")),
        story.part("b"),
        story.part("c", lives=1, error=ValueError("y")),
    ]
    assert story.failures(story.run(parts)) == [
        "component c failed: ValueError: y",
        "component a failed: KeyError: 'x'",
    ]


def test_a_failure_is_logged_when_it_happens(story: Story) -> None:
    with capture_logs() as logs:
        story.run([story.part("a", lives=5, error=ValueError("y")), story.part("b", clean_up=3)])
    events = [(entry["event"], entry.get("component")) for entry in logs]
    assert events == [("component.ready", "a"), ("component.ready", "b"), ("component.failed", "a")]


def test_a_component_that_is_never_ready_can_be_cancelled(story: Story) -> None:
    parts = [story.part("a"), story.part("b", ready_after=None), story.part("c")]
    assert isinstance(story.run(parts, cancel_at=[1000]), asyncio.CancelledError)
    assert story.happened == ["start a", "ready a", "start b", "cancel b", "stop b", "cancel a", "stop a"]


def test_a_component_that_is_not_ready_in_time_has_failed(story: Story) -> None:
    parts = [story.part("a"), story.part("b", ready_after=None), story.part("c")]
    error = story.run(parts, ready_timeout=30)
    assert story.failures(error) == ["component b was not ready within 30 s"]
    assert story.took == 31
    assert story.happened[-4:] == ["cancel b", "stop b", "cancel a", "stop a"]


def test_a_component_that_overruns_its_budget_is_cancelled_again_and_delays_only_itself(story: Story) -> None:
    parts = [story.part("a", clean_up=2), story.part("b", clean_up=500, stop_budget=7), story.part("c")]
    with capture_logs() as logs:
        error = story.run(parts, cancel_at=[10])
    assert isinstance(error, asyncio.CancelledError)
    assert story.happened[-5:] == ["cancel c", "stop c", "cancel b", "cancel a", "stop a"]
    assert story.took == 10 + 7 + 2
    assert [e["component"] for e in logs if e["event"] == "component.overdue"] == ["b"]


def test_a_component_that_ignores_two_cancellations_is_ended_by_the_third(story: Story) -> None:
    error = story.run([story.part("a"), story.part("b", stubborn=2)], cancel_at=[10])
    assert isinstance(error, asyncio.CancelledError)
    assert story.happened[-4:] == ["cancel b", "stop b", "cancel a", "stop a"]


def test_a_component_that_never_ends_is_abandoned_and_the_others_are_stopped(story: Story) -> None:
    parts = [story.part("a"), story.part("b", stubborn=3)]
    with capture_logs() as logs, pytest.raises(AssertionError, match=r"left over.*name='b'"):
        story.run(parts, cancel_at=[10])
    assert [e["component"] for e in logs if e["event"] == "component.abandoned"] == ["b"]
    assert story.happened[4:7] == ["cancel b", "cancel a", "stop a"]
    assert story.took == 10 + 5 + 1 + 1


@pytest.mark.parametrize("again", [0.0, 1.0, 2.5, 4.0])
def test_cancelling_again_during_the_stop_changes_nothing(story: Story, again: float) -> None:
    parts = [story.part("a", clean_up=2), story.part("b", clean_up=2)]
    error = story.run(parts, cancel_at=[10, 10 + again, 10 + again])
    assert isinstance(error, asyncio.CancelledError)
    assert story.happened[-4:] == ["cancel b", "stop b", "cancel a", "stop a"]
    assert story.took == 14


def test_a_cancellation_while_a_failure_is_cleaned_up_does_not_hide_the_failure(story: Story) -> None:
    parts = [story.part("a", clean_up=4), story.part("b", lives=1)]
    assert story.failures(story.run(parts, cancel_at=[5])) == ["component b ended by itself"]
    assert story.happened[-2:] == ["cancel a", "stop a"]


def test_every_task_has_the_name_of_its_component(story: Story) -> None:
    names: set[str] = set()

    def look(_: Runtime) -> None:
        names.update(task.get_name() for task in asyncio.all_tasks(loop) if not task.done())

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(
            Runtime([story.part("a"), story.part("b")], story.board).run(), name="runtime"
        )
        await asyncio.sleep(5)
        look(None)  # type: ignore[arg-type]
        task.cancel()
        await asyncio.wait({task})

    loop: asyncio.AbstractEventLoop
    virtual.run(main())
    assert {"a", "b", "runtime"} <= names


def test_two_components_of_one_name_are_refused(story: Story) -> None:
    with pytest.raises(ValueError, match="unique: a, a"):
        Runtime([story.part("a"), story.part("a")], story.board)


def test_without_components_it_runs_until_cancelled(story: Story) -> None:
    assert isinstance(story.run([], cancel_at=[10]), asyncio.CancelledError)


HOW = st.fixed_dictionaries(
    {
        "ready_after": st.sampled_from([None, 0.0, 1.0, 3.0]),
        "lives": st.sampled_from([None, None, None, 0.0, 2.0]),
        "error": st.sampled_from([None, ValueError("no")]),
        "clean_up": st.sampled_from([0.0, 1.0, 50.0]),
        "stubborn": st.sampled_from([0, 0, 0, 1]),
        "stop_error": st.sampled_from([None, None, OSError("no")]),
        "stop_budget": st.sampled_from([0.0, 2.0, 5.0]),
    }
)


@settings(deadline=None)
@given(
    hows=st.lists(HOW, max_size=5),
    cancel_at=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 9.0]), min_size=1, max_size=3),
    ready_timeout=st.sampled_from([None, 2.0]),
)
def test_whatever_the_components_do_starts_are_ordered_stops_reversed_and_no_task_is_left(
    hows: list[dict[str, object]], cancel_at: list[float], ready_timeout: float | None
) -> None:
    story = Story()
    parts = [story.part(f"part{number}", **how) for number, how in enumerate(hows)]
    with capture_logs():
        story.run(parts, cancel_at=cancel_at, ready_timeout=ready_timeout)
    started = [event.split()[1] for event in story.happened if event.startswith("start")]
    cancelled = [event.split()[1] for event in story.happened if event.startswith("cancel")]
    assert started == [part.name for part in parts[: len(started)]]
    assert cancelled == sorted(cancelled, reverse=True)
    assert story.took <= max(cancel_at) + sum(part.stop_budget + 2 for part in parts) + 10
