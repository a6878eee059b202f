"""What belongs to pods that live no more."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.registry import advertise, remains
from agent.registry.remains import Place


def row(instance: str, uid: str = "") -> dict[str, Any]:
    return {"ID": instance, "Meta": {advertise.POD_UID: uid} if uid else None}


def test_an_instance_is_dead_when_its_pod_is_not_on_the_list() -> None:
    seen = remains.found({"n": [row("a-1", "1"), row("b-2", "2")], "m": []})
    assert remains.remains(seen, {"2"}) == remains.Remains(frozenset({Place("n", "a-1")}), frozenset({"m"}))


def test_what_tells_no_pod_is_a_stranger_and_keeps_its_node() -> None:
    seen = remains.found({"n": [row("x"), {"ID": 3}, {"ID": "y", "Meta": "z"}]})
    assert seen.strangers == {Place("n", "x"), Place("n", "y")}
    assert remains.remains(seen, ()) == remains.Remains()


def test_two_looks_agree_on_what_is_in_both() -> None:
    one = remains.Remains(frozenset({Place("n", "a"), Place("n", "b")}), frozenset({"n"}))
    two = remains.Remains(frozenset({Place("n", "b")}), frozenset({"m"}))
    assert one & two == remains.Remains(frozenset({Place("n", "b")}))


def test_a_list_of_pods_must_hold_the_pod_that_asks() -> None:
    seen = remains.found({"n": [row("a-1", "1")]})
    assert remains.incredible(seen, {"1"}, "me") == "it lacks this very pod"
    assert remains.incredible(seen, {"me"}, "me") == ""


def test_an_empty_list_is_believed_only_where_nothing_is_registered() -> None:
    assert remains.incredible(remains.found({"n": [row("a-1", "1")]}), (), "") == "it is empty"
    assert remains.incredible(remains.found({"n": []}), (), "") == ""


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=3), st.lists(st.dictionaries(st.sampled_from(["ID", "Meta"]), json))))
def test_nothing_that_others_wrote_makes_it_fail(nodes: dict[str, list[dict[str, Any]]]) -> None:
    remains.remains(remains.found(nodes), {"1"})
