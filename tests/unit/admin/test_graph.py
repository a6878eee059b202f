"""Where services and the lines between them are drawn."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from agent.admin.page import graph

NAMES = ["a", "b", "c", "d", "e"]
Edges = list[tuple[str, str]]


def test_a_service_stands_to_the_right_of_all_that_call_it() -> None:
    edges = [("front", "a"), ("a", "b"), ("front", "b"), ("b", "c")]
    assert graph.layers(["front", *NAMES], edges, "front") == {
        "front": 0, "a": 1, "b": 2, "c": 3, "d": 0, "e": 0,
    }  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=25, unique=True))
def test_any_calls_even_in_circles_give_every_service_a_place_of_its_own(edges: Edges) -> None:
    kept = [edge for edge in edges if edge[0] != edge[1]]
    places = graph.placed(["front", *NAMES], kept, "front")
    assert {"front", *NAMES} <= set(places)
    assert len(set(places.values())) == len(places)


def test_an_edge_over_several_layers_has_a_free_place_in_each() -> None:
    places = graph.placed(["front", "a", "b"], [("front", "a"), ("a", "b"), ("front", "b")], "front")
    gap = places["front", "b", 1]
    assert gap[0] == places["a"][0]
    assert gap[1] != places["a"][1]


def test_names_in_the_graph_are_text() -> None:
    hostile = "<script>"
    edge = {"caller": "front", "called": hostile, "requests": 3, "failed": 1}
    drawn = graph.drawn([hostile], [edge], "front")
    assert hostile not in drawn
    assert f"front → {html.escape(hostile)}: 3 requests, 1 failed" in drawn
    assert "failing" in drawn


def test_many_services_are_drawn_as_far_as_one_can_see_them() -> None:
    names = [f"s{number}" for number in range(100)]
    edges = [{"caller": "front", "called": name, "requests": 1, "failed": 0} for name in names]
    assert len(re.findall('class="box', graph.drawn(names, edges, "front"))) == graph.MOST
    assert graph.drawn([], [], "front") == ""
