"""A request that can't be carried out is answered with what is wrong, and nothing is done."""

from typing import Any

import pytest

from tests.unit.supervise.fake import World


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"do": "dance"}, "unknown request 'dance'; known: start, signal, stop, restart, state, ready"),
        ({}, "unknown request"),
        ({"do": ["start"]}, "unknown request"),
        ({"do": "start", "child": "other"}, "unknown child 'other'; known: envoy, service"),
        ({"do": "start", "child": ["envoy"]}, "unknown child"),
        ({"do": "start", "child": "envoy"}, "field missing or wrong: 'argv'"),
        ({"do": "start", "child": "envoy", "argv": [], "env": {}}, "argv is no list"),
        ({"do": "start", "child": "envoy", "argv": ["a\0b"], "env": {}}, "argv is no list"),
        ({"do": "start", "child": "envoy", "argv": "ls", "env": {}}, "argv is no list"),
        ({"do": "start", "child": "envoy", "argv": ["a"], "env": {"A=B": "c"}}, "env is no object"),
        ({"do": "start", "child": "envoy", "argv": ["a"], "env": {"": "c"}}, "env is no object"),
        ({"do": "start", "child": "envoy", "argv": ["a"], "env": {"A": 1}}, "env has a value"),
        ({"do": "start", "child": "envoy", "argv": ["a"], "env": {"A": "\0"}}, "env has a value"),
        ({"do": "stop", "child": "envoy", "timeout": "5"}, "timeout is no number"),
        ({"do": "stop", "child": "envoy", "timeout": -1}, "timeout is no number"),
        ({"do": "stop", "child": "envoy", "timeout": float("nan")}, "timeout is no number"),
        ({"do": "signal", "child": "envoy", "signum": 0}, "signum is no signal"),
        ({"do": "signal", "child": "envoy", "signum": True}, "signum is no signal"),
        ({"do": "signal", "child": "envoy", "signum": 65}, "signum is no signal"),
    ],
)
def test_a_wrong_request_is_refused(request_: dict[str, Any], problem: str) -> None:
    world = World()
    world.system.take(world.line, {"id": 1, **request_})
    assert problem in world.line.answer(1)["error"]
    assert list(world.system.running.values()) == ["agent"]
    assert world.system.signals == []


def test_an_endless_timeout_is_a_day() -> None:
    world = World().up()
    world.ask("stop", "service", timeout=float("inf"))
    assert world.timers.delay() == 86400.0


def test_an_answer_carries_the_states_of_all_children() -> None:
    world = World().up()
    answer = world.line.answer(world.ask("state"))
    assert set(answer["states"]) == {"envoy", "service"}
    assert answer["leaving"] is False
    assert answer["states"]["service"] == {
        "pid": world.system.pid("service"),
        "status": None,
        "restarts": 0,
        "asked": False,
    }
