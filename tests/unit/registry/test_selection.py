"""Which services are followed and read again."""

import msgspec

from agent.registry import selection
from agent.registry.selection import Check, Selection


def names(*numbers: int) -> frozenset[str]:
    return frozenset(f"m{number:03}" for number in numbers)


def test_up_to_the_limit_every_listed_service_is_followed() -> None:
    assert selection.choose((), names(2, 1), frozenset()) == Selection(("m001", "m002"), ())


def test_beyond_the_limit_those_known_stay_and_new_ones_are_left_out_whatever_their_name() -> None:
    first = selection.choose((), names(*range(100)), frozenset())
    second = selection.choose(first.names, names(*range(100)) | {"a", "z"}, frozenset())
    assert second == Selection(first.names, ("a", "z"))
    third = selection.choose(second.names, names(*range(99)) | {"a", "z"}, frozenset())
    assert third.left_out == ("z",)
    assert "a" in third.names


def test_a_service_that_vanished_from_the_list_stays_while_its_instances_are_held() -> None:
    assert selection.choose(("a", "b"), frozenset(), frozenset({"a"})) == Selection(("a",), ())


def check(service: str, status: str = "passing", node: str = "n") -> Check:
    return Check(node, f"c:{service}", status, service)


def test_a_service_is_read_again_when_a_check_of_it_comes_goes_or_turns() -> None:
    before = selection.marks([check("a"), check("b"), check("c")])
    after = selection.marks([check("a", "critical"), check("b"), check("d")])
    assert selection.changed(before, after, ("a", "b", "c", "d", "e")) == ("a", "c", "d")


def test_a_new_output_of_a_check_reads_nothing_again() -> None:
    """It is not even taken in."""
    before, after = (
        msgspec.json.decode(msgspec.json.encode([{"CheckID": "c", "Output": text}]), type=list[Check])
        for text in ("x", "yy")
    )
    assert selection.changed(selection.marks(before), selection.marks(after), ("",)) == ()


def test_a_nodes_own_check_concerns_all() -> None:
    before, after = (selection.marks([check("", status)]) for status in ("passing", "critical"))
    assert selection.changed(before, after, ("a", "b")) == ("a", "b")
