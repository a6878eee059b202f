"""What the commands on traces tell."""

import json

import click
import pytest

from agent.cli import bottlenecks, trace_words
from agent.cli.durations import duration
from agent.tracing.bottlenecks import ranked
from agent.tracing.lookup import Found
from agent.tracing.traces import Span
from tests.unit.tracing.made import call, span

REQUEST = [
    span("f", None, 0, 100, "front", "server", operation="shop"),
    *call("front", "stock", "ab", "f", 10, 50),
    *call("front", "orders", "co", "f", 12, 80),
]


def told(*spans: Span, most: int = 100, settled: bool = True) -> list[str]:
    """The lines after the two of the heading."""
    found = Found("t", spans, settled=settled)
    return [line.text for line in trace_words.told(found, most)][2:]


def test_a_request_is_a_tree_with_durations_self_times_and_the_critical_path() -> None:
    assert told(*REQUEST) == [
        "  100.0 ms   18.00 ms  20 %  front  shop",
        "  50.00 ms   48.00 ms        ├─ stock  GET /stock/7; 2.00 ms between",
        "  80.00 ms   78.00 ms  80 %  └─ orders  GET /orders/7; 2.00 ms between",
    ]


def test_the_heading_says_what_it_is_of() -> None:
    first = next(iter(trace_words.told(Found("t", tuple(REQUEST)), 9))).text
    assert first.startswith("trace t | 100.0 ms | ")
    assert first.endswith(" | 5 spans | 3 services")


def test_only_so_many_calls_are_shown() -> None:
    assert told(*REQUEST, most=1)[-1] == "2 more calls: --lines shows more, --json all"


def test_who_called_from_outside_is_named_and_nothing_is_incomplete() -> None:
    lines = told(span("f", "client", 0, 10, "front", "server"))
    assert lines[-1] == "the caller, span client, has not told of itself"


def test_a_young_trace_is_said_to_be_young() -> None:
    assert "too young" in told(*REQUEST, settled=False)[-1]


def test_what_others_wrote_can_not_rule_a_terminal() -> None:
    spans = [span("f", "\x1b[2J", 0, 10, "fr\x1b[31mont", operation="a\nb\r")]
    found = Found("t", tuple(spans), ("\x1b[1m",))
    text = "".join(line.text for line in trace_words.told(found, 9))
    assert text.isprintable()


def test_the_same_as_data_adds_up() -> None:
    data = trace_words.data(Found("t", tuple(REQUEST)))
    assert json.loads(json.dumps(data)) == data
    assert [hop["operation"] for hop in data["hops"]] == ["shop", "GET /stock/7", "GET /orders/7"]
    assert sum(hop["path_ms"] for hop in data["hops"]) == data["duration_ms"] == 100
    assert [one["start_ms"] for one in data["spans"]] == [0, 10, 11, 12, 13]


def test_nothing_at_all_is_told_without_a_fall() -> None:
    assert told() == []
    assert trace_words.data(Found("t", ()))["duration_ms"] == 0


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "0.00 ms"), (420, "0.42 ms"), (99_999, "100.00 ms"), (100_000, "100.0 ms"), (12_345_678, "12.35 s")],
)
def test_times_are_short(micro: int, text: str) -> None:
    assert trace_words.millis(micro) == text


def test_a_ranking_is_a_line_an_operation() -> None:
    ranking = ranked([REQUEST])
    lines = [line.text for line in bottlenecks.lines(ranking, 2)]
    assert lines == [
        "      self share waited for  calls errors        p50        p95  service  operation",
        "  78.00 ms   53%        78%      1      0   78.00 ms   78.00 ms  orders  GET /orders/{id}",
        "  48.00 ms   32%         0%      1      0   48.00 ms   48.00 ms  stock  GET /stock/{id}",
    ]
    assert bottlenecks.remark(ranking, 2, 0.25, 500).splitlines() == [
        "1 traces, 5 spans; 3 more operations (--limit)",
        "only sampled requests are counted: tracing.sample is 0.25 in the settings read here",
    ]
    data = bottlenecks.data(ranking, 2)
    assert json.loads(json.dumps(data)) == data
    assert (data["not_shown"], data["operations"][0]["self_ms"], data["operations"][0]["path_ms"]) == (
        3,
        78,
        78,
    )


def asked(value: str) -> float:
    """The seconds of an option's value."""
    command = click.Command("x", params=[click.Option(["--since"])])
    return duration(click.Context(command), command.params[0], value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("5m", 300), ("2h", 7200), ("0", 0), ("7.5", 7.5)]
)
def test_a_duration_is_written_as_in_settings(text: str, seconds: float) -> None:
    assert asked(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "1e99", "5 m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no duration"):
        asked(text)
