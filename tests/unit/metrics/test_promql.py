"""What an expression names is found in it."""

import pytest

from agent.metrics.promql import named


@pytest.mark.parametrize(
    ("expression", "series"),
    [
        ("up", ("up",)),
        ("up == 0", ("up",)),
        ('a{b="c d{e}"} > 1e3', ("a",)),
        ("sum by (job, le) (rate(a_total[5m]))", ("a_total",)),
        ("sum(rate(a_total[5m])) by (job)", ("a_total",)),
        ("(sum by (x) (a) or 0 * sum by (x) (b)) / sum by (x) (c)", ("a", "b", "c")),
        ("a unless on (job) b offset 15m", ("a", "b")),
        ('a / ignoring(x) group_left(y) b{c!~"d|e"}', ("a", "b")),
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval])))", ("a_bucket",)),
        ("a and b > 0.1", ("a", "b")),
        ("job:a:rate5m + min_over_time(b[1m])", ("job:a:rate5m", "b")),
        ("max(a) > bool 2", ("a",)),
    ],
)
def test_series_are_found_in_their_order(expression: str, series: tuple[str, ...]) -> None:
    assert named(expression).order == series


def test_labels_are_found_with_the_series_that_they_select() -> None:
    found = named('sum(a{b="c=d",e=~"f,g!=h"}) + i{j!="k"}')
    assert found.matched == {("a", "b"), ("a", "e"), ("i", "j")}


def test_labels_of_groupings_are_found() -> None:
    found = named("sum by (a, b) (c) / on (d) group_left (e) max without (f) (g)")
    assert found.grouped == {"a", "b", "d", "e", "f"}
