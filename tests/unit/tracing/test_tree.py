"""Spans as trees, whatever came of them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.tracing.traces import Span
from agent.tracing.tree import Forest, Node, grown
from tests.unit.tracing.made import BEGAN, span

AT = round(BEGAN * 1e6)


def nodes(forest: Forest) -> list[Node]:
    """All nodes, each before its children."""
    found, waiting = [], list(reversed(forest.roots))
    while waiting:
        found.append(waiting.pop())
        waiting += reversed(found[-1].children)
    return found


def by_id(forest: Forest) -> dict[str, Node]:
    """All nodes by their span's id."""
    return {node.span.id: node for node in nodes(forest)}


def placed(node: Node) -> tuple[float, float]:
    """Start and end in milliseconds."""
    return (node.start - AT) / 1000, (node.end - AT) / 1000


def test_spans_in_any_order_become_one_tree() -> None:
    forest = grown([span("c", "b", 2, 3), span("a", None, 0, 10), span("b", "a", 1, 5), span("d", "a", 7, 1)])
    (root,) = forest.roots
    assert forest.main is root
    assert [child.span.id for child in root.children] == ["b", "d"]
    assert [child.span.id for child in root.children[0].children] == ["c"]
    assert forest.missing == ()


def test_no_span_is_no_tree() -> None:
    assert grown([]) == Forest((), ())
    assert grown([]).main is None


def test_a_span_without_its_parent_is_a_root_of_its_own_and_the_parent_is_named() -> None:
    forest = grown([span("a", None, 0, 10), span("x", "gone", 2, 90)])
    assert [root.span.id for root in forest.roots] == ["a", "x"]
    assert forest.missing == ("gone",)
    assert forest.main is forest.roots[0]


def test_of_trees_that_all_lack_their_parent_the_longest_stands_for_the_request() -> None:
    forest = grown([span("a", "caller", 0, 5), span("b", "gone", 1, 30)])
    assert forest.main is not None
    assert forest.main.span.id == "b"


def test_the_same_id_twice_is_one_span() -> None:
    assert len(nodes(grown([span("a", None, 0, 10), span("a", None, 0, 10)]))) == 1


def test_a_circle_is_cut_at_its_first_span() -> None:
    forest = grown([span("a", "c", 0, 9), span("b", "a", 1, 5), span("c", "b", 2, 3), span("s", "s", 4, 1)])
    assert [root.span.id for root in forest.roots] == ["a", "s"]
    assert sorted(by_id(forest)) == ["a", "b", "c", "s"]


def test_an_answer_that_began_before_its_question_has_a_wrong_clock() -> None:
    """The callee's span goes to the middle of the caller's, and what is below it goes along."""
    found = by_id(
        grown(
            [
                span("a", None, 0, 100, kind="client", instance="one"),
                span("b", "a", -5000, 60, "stock", "server", instance="two"),
                span("c", "b", -4990, 20, "stock", "client", instance="two"),
            ]
        )
    )
    assert placed(found["b"]) == (20, 80)
    assert placed(found["c"]) == (30, 50)
    assert (found["b"].skew, found["c"].skew, found["b"].cut) == (5_020_000, 0, False)


def test_a_clock_that_is_ahead_is_put_right_too() -> None:
    found = by_id(grown([span("a", None, 0, 10, kind="client"), span("b", "a", 700, 4, "stock", "server")]))
    assert placed(found["b"]) == (3, 7)
    assert not found["b"].apart


def test_a_callee_that_took_longer_than_its_caller_is_put_at_its_start_and_cut() -> None:
    found = by_id(grown([span("a", None, 0, 10, kind="client"), span("b", "a", -50, 40, "stock", "server")]))
    assert placed(found["b"]) == (0, 10)
    assert found["b"].cut


def test_a_callee_that_works_on_after_its_caller_gave_up_has_no_wrong_clock() -> None:
    caller = span("a", None, 0, 10, kind="client", error=True)
    found = by_id(grown([caller, span("b", "a", 6, 8, "stock", "server")]))
    assert placed(found["b"]) == (6, 10)
    assert (found["b"].skew, found["b"].cut) == (0, True)


def test_a_microsecond_too_much_is_nobody_s_fault() -> None:
    found = by_id(grown([span("a", None, 0, 10, kind="client"), span("b", "a", 1, 9.001, "stock", "server")]))
    assert placed(found["b"]) == (1, 10)
    assert (found["b"].skew, found["b"].cut) == (0, False)


def test_what_begins_after_its_parent_ended_keeps_its_time_and_is_not_waited_for() -> None:
    forest = grown([span("a", None, 0, 10), span("b", "a", 500, 20, kind="producer"), span("c", "b", 505, 1)])
    found = by_id(forest)
    assert placed(found["b"]) == (500, 520)
    assert found["b"].apart
    assert not found["c"].apart
    assert found["a"].awaited == ()


IDS = [*"abcdefgh"]


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Spans as nobody would send them: any parent, any time, any clock."""
    return [
        span(
            name,
            draw(st.sampled_from([None, "gone", *IDS])),
            draw(st.integers(-20, 20)),
            draw(st.integers(0, 20)),
            draw(st.sampled_from(["one", "two"])),
            draw(st.sampled_from(["client", "server", "internal", "producer", "consumer"])),
            instance=draw(st.sampled_from(["", "i1", "i2"])),
            error=draw(st.booleans()),
        )
        for name in draw(st.permutations(IDS))[: draw(st.integers(0, len(IDS)))]
    ]


@given(spans())
def test_every_span_has_one_place_within_its_parent_s(given: list[Span]) -> None:
    forest = grown(given)
    found = nodes(forest)
    assert sorted(node.span.id for node in found) == sorted(one.id for one in given)
    for node in found:
        assert node.start <= node.end
        starts = [child.start for child in node.children]
        assert starts == sorted(starts)
        for child in node.children:
            assert child.apart or node.start <= child.start <= child.end <= node.end


@given(spans(), st.randoms())
def test_the_order_in_which_spans_came_is_of_no_matter(given: list[Span], random: object) -> None:
    mixed = list(given)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert grown(mixed) == grown(given)
