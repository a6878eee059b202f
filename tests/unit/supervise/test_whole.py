"""How an instance leaves, and with which exit code."""

import signal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.supervise.fake import World

TERM = int(signal.SIGTERM)
KILL = int(signal.SIGKILL)


@pytest.fixture
def world() -> World:
    return World().up()


def test_the_agent_is_told_why_before_it_gets_the_signal(world: World) -> None:
    world.whole.signalled()
    assert world.system.signals == [("agent", TERM)]
    assert world.system.told_before[0][0]["leaving"] is True


def test_once_the_agent_has_left_the_rest_is_stopped_in_reverse_one_after_the_other(world: World) -> None:
    world.whole.signalled()
    world.end("agent", 0)
    assert world.system.signals == [("agent", TERM), ("service", TERM)]
    world.end("service", 0)
    assert world.system.signals[-1] == ("envoy", TERM)
    assert world.whole.code is None
    world.end("envoy", 0)
    assert world.whole.code == 0


def test_what_the_agent_stopped_itself_is_not_signalled_again(world: World) -> None:
    world.whole.signalled()
    for name in ("service", "envoy"):
        world.ask("stop", name, timeout=5)
        world.end(name, 0)
    world.end("agent", 0)
    assert world.whole.code == 0
    assert world.system.signals == [("agent", TERM), ("service", TERM), ("envoy", TERM)]


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (-TERM, 0), (143, 0), (3, 3), (-KILL, 137), (-11, 139), (1, 1)]
)
def test_a_service_that_was_asked_to_end_gives_its_code_and_its_death_by_sigterm_is_0(
    world: World, status: int, code: int
) -> None:
    world.whole.signalled()
    world.ask("stop", "service", timeout=5)
    world.end("service", status)
    world.end("agent", 0)
    world.end("envoy", 0)
    assert world.whole.code == code


@pytest.mark.parametrize(("status", "code"), [(0, 0), (-TERM, 143), (143, 143), (3, 3), (-KILL, 137)])
def test_a_service_that_ends_by_itself_ends_all_with_its_code(world: World, status: int, code: int) -> None:
    world.end("service", status)
    assert world.system.signals == [("agent", TERM)]
    assert world.line.sent[-1]["leaving"] is True
    world.end("agent", 0)
    world.end("envoy", 0)
    assert world.whole.code == code


def test_a_service_that_can_not_be_started_ends_all_with_127(world: World) -> None:
    world = World()
    world.system.missing.add("nowhere")
    assert "No such file" in world.start("service", program="nowhere")["error"]
    world.end("agent", 1)
    assert world.whole.code == 127


def test_without_a_service_the_code_is_0() -> None:
    world = World()
    world.start("envoy", restart=True)
    world.ask("ready")
    world.whole.signalled()
    world.end("agent", 1)
    world.end("envoy", -TERM)
    assert world.whole.code == 0


def test_a_stop_waits_for_an_agent_that_is_coming_back_and_lets_it_stop_all_in_order(world: World) -> None:
    """Only the agent knows how to tell Consul and to drain; without it callers would meet a dead port."""
    world.end("agent", -KILL)
    world.wait(0)
    world.whole.signalled()
    assert world.system.signals == []
    world.ask("ready")
    assert world.system.signals == [("agent", TERM)]
    world.wait(60)
    assert world.system.signals[0] == ("agent", TERM)


def test_an_agent_that_does_not_come_back_holds_a_stop_up_for_moments_only(world: World) -> None:
    world.end("agent", 1)
    world.wait(0)
    world.end("agent", 1)
    world.whole.signalled()
    world.wait(4.9)
    assert world.system.signals == []
    world.wait(0.2)
    assert world.system.signals == [("agent", TERM)]
    world.end("agent", -TERM)
    world.end("service", 0)
    world.end("envoy", 0)
    assert world.whole.code == 0
    world.wait(60)
    assert world.system.pid("agent") is None


def test_a_second_signal_does_not_wait_for_an_agent_that_is_coming_back(world: World) -> None:
    world.end("agent", -KILL)
    world.wait(0)
    world.whole.signalled()
    world.whole.signalled()
    assert world.system.signals == []
    world.wait(1.1)
    world.whole.signalled()
    assert world.system.signals == [("agent", TERM)]


def test_an_agent_that_uses_up_its_time_is_killed_and_the_rest_has_the_grace(world: World) -> None:
    world.whole.signalled()
    world.wait(34.9)
    assert world.system.signals == [("agent", TERM)]
    world.wait(0.2)
    assert world.system.signals[-1] == ("agent", KILL)
    world.end("agent", -KILL)
    assert world.system.signals[-1] == ("service", TERM)


def test_at_the_deadline_all_is_killed(world: World) -> None:
    world.whole.signalled()
    world.end("agent", 0)
    world.wait(40)
    assert {("envoy", KILL), ("service", KILL)} <= set(world.system.signals)
    world.end("envoy", -KILL)
    world.end("service", -KILL)
    assert world.whole.code == 137


def test_the_same_stop_signalled_twice_hastens_nothing(world: World) -> None:
    world.whole.signalled()
    world.wait(0.1)
    world.whole.signalled()
    assert world.system.signals == [("agent", TERM)]


def test_a_second_signal_stops_all_at_once_and_a_third_kills(world: World) -> None:
    world.whole.signalled()
    world.wait(2)
    world.whole.signalled()
    assert world.system.signals[1:] == [("agent", KILL), ("envoy", TERM), ("service", TERM)]
    world.end("agent", -KILL)
    world.wait(2)
    world.whole.signalled()
    assert world.system.signals[4:] == [("envoy", KILL), ("service", KILL)]


def test_while_leaving_nothing_is_started(world: World) -> None:
    world.end("envoy", -9)
    world.whole.signalled()
    world.wait(30)
    assert world.system.pid("envoy") is None
    assert "leaving" in world.start("envoy")["error"]
    number = world.ask("restart", "service", argv=["x"], env={}, timeout=1)
    assert "leaving" in world.line.answer(number)["error"]


def test_a_restart_under_way_when_the_stop_comes_starts_nothing(world: World) -> None:
    world.ask("restart", "service", argv=["x"], env={}, timeout=5)
    world.whole.signalled()
    world.end("service", 0)
    assert world.system.pid("service") is None
    world.end("agent", 0)
    world.end("envoy", 0)
    assert world.whole.code == 0


WORDS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.text(max_size=3), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers(), max_size=2)
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | st.text(max_size=3) | st.lists(st.none(), max_size=1),
        "do": st.one_of(st.sampled_from(["start", "stop", "signal", "restart", "state", "ready"]), WORDS),
        "child": st.one_of(st.sampled_from(["envoy", "service"]), WORDS),
        "argv": st.one_of(st.just(["p"]), WORDS),
        "env": st.one_of(st.just({"A": "b"}), WORDS),
        "restart": WORDS,
        "timeout": st.one_of(st.just(3.0), WORDS),
        "signum": st.one_of(st.just(1), WORDS),
    },
)


class Chaos(RuleBasedStateMachine):
    """Whatever happens in whatever order, the instance ends within its deadline once it was told to."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.leaving_since: float | None = None

    @rule(message=FIELDS)
    def request(self, message: dict[str, object]) -> None:
        if self.world.line.open:
            self.world.system.take(self.world.line, message)

    @rule(child=st.sampled_from(["envoy", "service"]), restart=st.booleans())
    def start(self, child: str, restart: bool) -> None:
        if self.world.line.open:
            self.world.start(child, restart and child == "envoy")

    @rule(child=st.sampled_from(["envoy", "service"]), verb=st.sampled_from(["stop", "restart"]))
    def verb(self, child: str, verb: str) -> None:
        if self.world.line.open:
            self.world.ask(verb, child, argv=["p"], env={}, timeout=2.0)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: self.world.system.running)
    @rule(data=st.data(), status=st.sampled_from([0, 1, 2, 3, -9, -15]))
    def end(self, data: st.DataObject, status: int) -> None:
        self.world.end(data.draw(st.sampled_from(sorted(self.world.system.running.values()))), status)

    @rule()
    def signalled(self) -> None:
        if self.world.whole.code is None:
            self.world.whole.signalled()

    @invariant()
    def over_means_that_nothing_runs(self) -> None:
        if self.world.whole.code is not None:
            assert not self.world.system.running
            assert 0 <= self.world.whole.code < 256

    def teardown(self) -> None:
        """Told to end, with processes that obey nothing but SIGKILL, all is over at the deadline."""
        world = self.world
        if world.whole.code is None:
            world.whole.signalled()
        world.wait(40.0)
        while world.system.running:
            killed = {name for name, signum in world.system.signals if signum == KILL}
            name = next(iter(world.system.running.values()))
            assert name in killed, f"{name} was not killed"
            world.end(name, -KILL)
        assert world.whole.code is not None


Chaos.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestChaos = Chaos.TestCase
