"""A child is a state machine with idempotent verbs."""

import signal

import pytest

from tests.unit.supervise.fake import World

TERM = int(signal.SIGTERM)
KILL = int(signal.SIGKILL)


@pytest.fixture
def world() -> World:
    return World().up()


def test_a_start_of_what_runs_adopts_it(world: World) -> None:
    pid = world.system.pid("envoy")
    assert world.start("envoy", restart=True)["state"] == {
        "pid": pid,
        "status": None,
        "restarts": 0,
        "asked": False,
    }
    assert world.system.pid("envoy") == pid


def test_a_crash_is_followed_by_restarts_with_growing_delays_and_a_ceiling(world: World) -> None:
    delays = []
    for _ in range(10):
        world.end("envoy", -11)
        delays.append(world.back_after("envoy"))
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    assert world.line.sent[-1]["states"]["envoy"]["restarts"] == 10


def test_after_a_long_life_the_next_restart_is_quick_again(world: World) -> None:
    for _ in range(6):
        world.end("envoy", 1)
        world.wait(5)
    world.wait(10)
    world.end("envoy", 1)
    world.wait(0.1)
    assert world.system.pid("envoy") is not None


def test_a_start_while_a_restart_is_waited_for_neither_hurries_nor_doubles_it(world: World) -> None:
    for _ in range(5):
        world.end("envoy", 1)
        world.wait(3)
    world.end("envoy", 1)
    assert world.start("envoy", restart=True)["state"]["pid"] is None
    assert world.system.pid("envoy") is None
    world.wait(10)
    assert world.system.pid("envoy") is not None


def test_a_restart_that_fails_is_tried_again(world: World) -> None:
    world.start("envoy", restart=True, program="new")
    world.system.missing.add("new")
    world.end("envoy", 1)
    world.wait(60)
    assert world.system.pid("envoy") is None
    world.system.missing.clear()
    world.wait(10)
    assert world.system.pid("envoy") is not None


def test_a_stop_is_answered_when_the_process_has_ended(world: World) -> None:
    number = world.ask("stop", "service", timeout=10)
    assert world.system.signals == [("service", TERM)]
    assert world.line.answer(number) is None
    world.end("service", 0)
    assert world.line.answer(number)["state"]["asked"] is True
    assert world.whole.code is None


def test_a_process_that_does_not_end_in_time_is_killed(world: World) -> None:
    number = world.ask("stop", "service", timeout=10)
    world.wait(9.9)
    assert world.system.signals == [("service", TERM)]
    world.wait(0.2)
    assert world.system.signals == [("service", TERM), ("service", KILL)]
    world.end("service", -KILL)
    assert world.line.answer(number)["state"]["status"] == -KILL


def test_a_kill_timer_never_hits_the_process_that_came_after(world: World) -> None:
    world.ask("restart", "service", argv=["b"], env={}, timeout=10)
    world.end("service", 0)
    world.wait(60)
    assert world.system.signals == [("service", TERM)]


def test_a_second_stop_signals_once_and_may_only_shorten_the_time(world: World) -> None:
    world.ask("stop", "service", timeout=10)
    world.ask("stop", "service", timeout=3)
    world.ask("stop", "service", timeout=30)
    assert world.system.signals == [("service", TERM)]
    world.wait(3.1)
    assert world.system.signals == [("service", TERM), ("service", KILL)]
    world.end("service", -KILL)
    assert all(world.line.answer(number) for number in (4, 5, 6))


def test_a_stop_of_what_does_not_run_is_answered_at_once_and_ends_its_restarts(world: World) -> None:
    world.end("envoy", 1)
    assert world.line.answer(world.ask("stop", "envoy", timeout=5))["state"]["pid"] is None
    world.wait(100)
    assert world.system.pid("envoy") is None


def test_a_restart_ends_nothing_and_is_answered_with_the_new_process(world: World) -> None:
    before = world.system.pid("service")
    number = world.ask("restart", "service", argv=["b"], env={}, timeout=10)
    world.end("service", 7)
    state = world.line.answer(number)["state"]
    assert state["pid"] == world.system.pid("service") != before
    assert world.whole.code is None


def test_the_verb_that_came_last_wins(world: World) -> None:
    world.ask("stop", "service", timeout=10)
    world.ask("start", "service", argv=["b"], env={})
    world.end("service", 0)
    assert world.system.pid("service") is not None
    world.ask("restart", "service", argv=["b"], env={}, timeout=10)
    world.ask("stop", "service", timeout=10)
    world.end("service", 0)
    assert world.system.pid("service") is None


def test_a_restart_goes_on_when_the_agent_that_asked_for_it_dies(world: World) -> None:
    world.ask("restart", "service", argv=["b"], env={}, timeout=10)
    world.end("agent", -KILL)
    world.end("service", 0)
    assert world.system.pid("service") is not None
    assert world.whole.code is None


def test_a_signal_goes_to_what_runs_and_is_refused_for_what_does_not(world: World) -> None:
    assert "error" not in world.line.answer(world.ask("signal", "service", signum=1))
    assert world.system.signals == [("service", 1)]
    world.ask("stop", "envoy", timeout=1)
    world.end("envoy", 0)
    assert world.line.answer(world.ask("signal", "envoy", signum=1))["error"] == "envoy does not run"


def test_a_start_that_fails_says_why(world: World) -> None:
    world.ask("stop", "envoy", timeout=1)
    world.end("envoy", 0)
    world.system.missing.add("nowhere")
    assert (
        world.start("envoy", program="nowhere")["error"] == "can't start nowhere: No such file or directory"
    )
    assert world.whole.code is None


def test_every_change_is_told_to_the_agent(world: World) -> None:
    world.line.sent.clear()
    world.end("envoy", -9)
    world.wait(1)
    told = [message["states"]["envoy"] for message in world.line.sent]
    assert [(one["pid"] is None, one["restarts"]) for one in told] == [(True, 0), (False, 1)]
