"""Operations ranked by self time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tracing.bottlenecks import BETWEEN, MOST, OTHERS, quantile, ranked
from agent.tracing.times import self_time
from agent.tracing.traces import Span
from agent.tracing.tree import grown
from tests.unit.tracing.made import call, span
from tests.unit.tracing.test_tree import nodes, spans


def request(number: int, took: float, **tags: str) -> list[Span]:
    """One request of front to orders that took so many milliseconds there."""
    return [
        span(
            "f", None, 0, took + 12, "front", "server", operation="front",
            http__method="GET", http__url=f"http://front/shop/{number}", **tags,
        ),
        *call("front", "orders", "co", "f", 5, took + 2),
    ]  # fmt: skip


def test_calls_of_one_kind_are_one_row_and_the_slowest_kind_comes_first() -> None:
    found = ranked([request(number, 10 * number) for number in range(1, 21)])
    rows = {(one.service, one.name): one for one in found.operations}
    orders, front = rows["orders", "GET /orders/{id}"], rows["front", "GET /shop/{id}"]
    assert (found.operations[0], found.traces, found.spans) == (orders, 20, 60)
    assert (orders.calls, orders.total, orders.median, orders.slow) == (20, 2_100_000, 100_000, 190_000)
    assert (front.calls, front.total) == (20, 200_000)
    assert rows["orders", BETWEEN].total == 40_000
    assert sum(one.share for one in found.operations) == pytest.approx(1)
    assert sum(one.waited_share for one in found.operations) == pytest.approx(1)
    assert orders.waited == orders.total


def test_what_runs_beside_something_longer_is_not_waited_for() -> None:
    found = ranked(
        [[span("a", None, 0, 100), span("b", "a", 0, 100, "slow"), span("c", "a", 0, 60, "beside")]]
    )
    waited = {one.service: one.waited for one in found.operations}
    assert waited == {"slow": 100_000, "beside": 0, "orders": 0}


def test_failures_and_incomplete_traces_are_counted() -> None:
    lost = [span("x", "gone", 0, 5, "orders"), span("y", "gone too", 1, 5, "orders")]
    found = ranked([request(1, 5, http__status_code="503"), request(2, 5), lost])
    assert {one.name: one.failures for one in found.operations if one.service == "front"} == {
        "GET /shop/{id}": 1
    }
    assert (found.traces, found.partial) == (3, 1)


def test_names_without_end_are_put_together() -> None:
    found = ranked([[span("a", None, 0, 1, operation=f"job {number}")] for number in range(MOST + 50)])
    assert len(found.operations) == MOST + 1
    assert next(one.calls for one in found.operations if one.name == OTHERS) == 50


def test_nothing_is_an_empty_ranking() -> None:
    assert ranked([]).operations == ()


def test_quantiles_are_values_that_occurred() -> None:
    assert [quantile([4, 1, 3, 2], share) for share in (0, 0.5, 0.51, 0.95, 1)] == [1, 2, 3, 4, 4]


@given(st.lists(spans(), max_size=4))
def test_the_rows_hold_all_self_time(given: list[list[Span]]) -> None:
    found = ranked(given)
    assert sum(one.total for one in found.operations) == sum(
        self_time(node) for one in given for node in nodes(grown(one))
    )
