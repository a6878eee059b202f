"""Self times and the critical path."""

from hypothesis import given
from hypothesis import strategies as st

from agent.tracing.times import critical_path, on_path, self_time, union
from agent.tracing.traces import Span
from agent.tracing.tree import Node, grown
from tests.unit.tracing.made import span
from tests.unit.tracing.test_tree import by_id, nodes, spans


def path_of(*given: Span) -> dict[str, float]:
    """Milliseconds on the critical path, by span."""
    main = grown(given).main
    assert main is not None
    return {name: micro / 1000 for name, micro in on_path(critical_path(main)).items()}


def selves(*given: Span) -> dict[str, float]:
    """Self times in milliseconds, by span."""
    return {name: self_time(node) / 1000 for name, node in by_id(grown(given)).items()}


def test_the_union_counts_what_overlaps_once() -> None:
    assert union([]) == 0
    assert union([(0, 10), (5, 12), (20, 30), (22, 23), (30, 31)]) == 23


def test_parallel_children_are_taken_off_once() -> None:
    found = selves(
        span("a", None, 0, 100), span("b", "a", 10, 40), span("c", "a", 20, 40), span("d", "c", 30, 10)
    )
    assert found == {"a": 50, "b": 40, "c": 30, "d": 10}


def test_what_nobody_waited_for_is_not_taken_off() -> None:
    assert selves(span("a", None, 0, 10), span("b", "a", 10.5, 99))["a"] == 10


def test_calls_one_after_the_other_are_all_on_the_path() -> None:
    found = path_of(span("a", None, 0, 100), span("b", "a", 10, 30), span("c", "a", 50, 40))
    assert found == {"a": 30, "b": 30, "c": 40}


def test_of_parallel_calls_the_one_that_finished_last_is_on_the_path() -> None:
    found = path_of(
        span("a", None, 0, 100), span("b", "a", 10, 80), span("c", "a", 10, 20), span("d", "c", 12, 5)
    )
    assert found == {"a": 20, "b": 80}


def test_the_path_goes_down_to_the_last() -> None:
    found = path_of(
        span("a", None, 0, 100), span("b", "a", 0, 90), span("c", "b", 5, 10), span("d", "b", 20, 70)
    )
    assert found == {"a": 10, "b": 10, "c": 10, "d": 70}


def test_calls_that_seem_to_overlap_by_a_hair_were_one_after_the_other() -> None:
    found = path_of(span("a", None, 0, 100), span("b", "a", 0, 50.05), span("c", "a", 50, 50))
    assert found == {"b": 50, "c": 50}


def test_a_very_deep_trace_needs_no_deep_stack() -> None:
    many = [span("0", None, 0, 5000)]
    many += [span(str(number), str(number - 1), 0, 5000 - number) for number in range(1, 5000)]
    assert sum(path_of(*many).values()) == 5000


@given(spans())
def test_the_path_is_a_chain_of_stretches_as_long_as_the_request(given: list[Span]) -> None:
    for root in grown(given).roots:
        path = critical_path(root)
        cursor = root.start
        for one in path:
            assert one.start == cursor < one.end
            assert one.node.start <= one.start
            assert one.end <= one.node.end
            cursor = one.end
        assert cursor == root.end
        assert sum(on_path(path).values()) == root.duration


@given(spans())
def test_no_self_time_is_below_zero_or_longer_than_its_span(given: list[Span]) -> None:
    for node in nodes(grown(given)):
        assert 0 <= self_time(node) <= node.duration


@st.composite
def sequences(draw: st.DrawFn) -> list[Span]:
    """Calls of which none runs beside another."""
    made: list[Span] = []

    def below(parent: str | None, start: int, room: int, depth: int) -> None:
        name = str(len(made))
        made.append(span(name, parent, start, room))
        cursor = start
        for _ in range(draw(st.integers(0, 3)) if depth else 0):
            begin = draw(st.integers(cursor, start + room))
            end = draw(st.integers(begin, start + room))
            below(name, begin, end - begin, depth - 1)
            cursor = end

    below(None, 0, draw(st.integers(1, 1000)), 3)
    return made


@given(sequences())
def test_without_parallel_work_all_self_time_is_on_the_path(given: list[Span]) -> None:
    (root,) = grown(given).roots
    path = on_path(critical_path(root))
    found: list[Node] = nodes(grown(given))
    assert {node.span.id: self_time(node) for node in found if self_time(node)} == path
    assert sum(self_time(node) for node in found) == root.duration
