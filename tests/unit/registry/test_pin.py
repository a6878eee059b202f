"""Whether one and the same agent of Consul answers."""

from agent.registry.pin import SETTLED, Pin


def test_the_first_name_is_the_one_that_counts() -> None:
    pin = Pin()
    assert [pin.see("a", now) for now in (0, 1, 1000)] == ["", "", ""]
    assert pin.name == "a"


def test_agents_in_turn_are_noticed_and_refused_for_ever() -> None:
    pin = Pin()
    assert pin.see("a", 0) == ""
    answers = ["b", "a", "b", "b", "a"] * 40
    assert all(pin.see(name, now * 3.0) for now, name in enumerate(answers))


def test_an_agent_that_answers_alone_under_another_name_was_renamed() -> None:
    pin = Pin()
    pin.see("a", 0)
    assert pin.see("b", 100) == "b"
    assert pin.see("b", 100 + SETTLED - 1) == "b"
    assert pin.see("b", 100 + SETTLED) == ""
    assert pin.name == "b"
    assert pin.see("a", 100 + SETTLED + 1) == "a"


def test_an_agent_that_answers_alone_again_is_taken_back_after_a_while() -> None:
    pin = Pin()
    for name, now in (("a", 0), ("b", 1)):
        pin.see(name, now)
    assert pin.see("a", 2) == "several"
    assert pin.see("a", 2 + SETTLED) == ""
