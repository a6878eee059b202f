"""The agent is started again whenever it ends, until it is clear that it can't work."""

import pytest

from tests.unit.supervise.fake import World


def test_a_working_agent_is_back_at_once_then_within_half_a_second() -> None:
    world = World().up()
    delays = []
    for _ in range(20):
        world.end("agent", -9)
        delays.append(world.back_after("agent"))
        world.ask("ready")
    assert delays[:4] == [0.0, 0.1, 0.2, 0.4]
    assert set(delays[4:]) == {0.5}


def test_an_agent_that_does_not_get_ready_any_more_is_tried_every_two_seconds() -> None:
    world = World().up()
    delays = []
    for _ in range(10):
        world.end("agent", 1)
        delays.append(world.back_after("agent"))
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0]
    assert world.whole.code is None


def test_after_a_long_life_it_is_back_at_once_again() -> None:
    world = World().up()
    for _ in range(8):
        world.end("agent", 1)
        world.back_after("agent")
    world.ask("ready")
    world.wait(10)
    world.end("agent", 1)
    assert world.back_after("agent") == 0.0


@pytest.mark.parametrize(("status", "code"), [(1, 1), (0, 0), (-6, 134)])
def test_an_agent_that_never_worked_is_given_up_with_its_code_after_some_attempts(
    status: int, code: int
) -> None:
    world = World(attempts=3)
    for _ in range(3):
        assert world.whole.code is None
        world.end("agent", status)
        world.wait(2)
    assert world.whole.code == code


def test_an_agent_that_had_a_child_started_is_never_given_up() -> None:
    world = World(attempts=3)
    world.start("envoy", restart=True)
    for _ in range(20):
        world.end("agent", 1)
        world.back_after("agent")
    assert world.whole.code is None
    assert world.system.pid("envoy") is not None


def test_zero_attempts_mean_never() -> None:
    world = World(attempts=0)
    for _ in range(20):
        world.end("agent", 1)
        world.back_after("agent")
    assert world.whole.code is None


def test_a_misconfigured_agent_ends_all_with_2_and_what_it_started_is_stopped() -> None:
    world = World()
    world.start("envoy", restart=True)
    world.end("agent", 2)
    assert world.whole.code is None
    assert world.system.signals == [("envoy", 15)]
    world.end("envoy", 0)
    assert world.whole.code == 2


def test_a_misconfiguration_of_an_agent_that_was_ready_once_is_a_crash_like_any_other() -> None:
    world = World().up()
    world.end("agent", 2)
    world.back_after("agent")
    world.end("agent", 2)
    world.back_after("agent")
    assert world.whole.code is None
    assert world.system.signals == []


def test_an_answer_never_reaches_a_life_that_did_not_ask() -> None:
    world = World().up()
    number = world.ask("stop", "envoy", timeout=5)
    world.end("agent", -9)
    world.back_after("agent")
    world.end("envoy", 0)
    assert world.line.answer(number) is None
    assert not world.system.lines[0].open
