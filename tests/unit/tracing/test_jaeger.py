"""Jaeger's replies as values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import trace_words
from agent.runtime.errors import Permanent
from agent.tracing.bottlenecks import ranked
from agent.tracing.jaeger import Jaeger, each, parsed
from agent.tracing.lookup import Found
from agent.tracing.traces import Span


def span(**changes: Any) -> dict[str, Any]:
    """One span as Jaeger sends it."""
    ids = {"traceID": "t", "spanID": "b", "processID": "p1"}
    times = {"startTime": 2_000_000, "duration": 1500}
    parents = [{"refType": "CHILD_OF", "traceID": "t", "spanID": "a"}]
    tags = [{"key": "http.status_code", "type": "int64", "value": 200}, {"key": "a", "value": "x"}]
    return {
        **ids,
        **times,
        "operationName": "GET",
        "references": parents,
        "tags": tags,
        "logs": [],
        **changes,
    }


def reply(*spans: dict[str, Any]) -> bytes:
    """A reply with one trace."""
    trace = {"traceID": "t", "spans": spans, "processes": {"p1": {"serviceName": "orders", "tags": []}}}
    return json.dumps({"data": [trace], "total": 0, "errors": None}).encode()


def test_a_span_has_seconds_its_parent_and_its_tags() -> None:
    (found,) = parsed(reply(span()))
    tags = (("a", "x"), ("http.status_code", 200))
    assert found == Span("b", "a", "orders", "GET", pytest.approx(2.0), pytest.approx(0.0015), tags, "t")  # type: ignore[arg-type]
    assert (found.tag("a"), found.tag("b")) == ("x", None)


def test_spans_come_by_start_and_a_root_has_no_parent() -> None:
    found = parsed(reply(span(), span(spanID="a", startTime=1_000_000, references=[])))
    assert [(one.id, one.parent) for one in found] == [("a", None), ("b", "a")]


def test_a_link_to_another_trace_is_no_parent() -> None:
    linked = span(references=[{"refType": "FOLLOWS_FROM", "traceID": "u", "spanID": "z"}])
    assert parsed(reply(linked))[0].parent is None


def test_a_span_of_an_unknown_process_has_no_service() -> None:
    assert parsed(reply(span(processID="p9")))[0].service == ""


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"data": [{"spans": 1}]}', reply(span(duration="long"))]
)
def test_a_reply_that_is_not_jaeger_s_is_refused(body: bytes) -> None:
    with pytest.raises(Permanent, match="query API"):
        parsed(body)


def test_no_trace_is_no_span() -> None:
    assert parsed(b'{"data": null}') == ()


@pytest.mark.parametrize("trace_id", ["", "../services", "ABCDEF0123456789", "a" * 33, "0af7651916cd43dd\n"])
async def test_only_a_trace_id_is_put_into_the_url(trace_id: str) -> None:
    with pytest.raises(Permanent, match="no trace id"):
        await Jaeger(None, "http://127.0.0.1:1").trace(trace_id)  # type: ignore[arg-type]


def test_a_span_s_instance_is_its_resource_s_else_its_envoy_s() -> None:
    trace: dict[str, Any] = {
        "traceID": "t",
        "spans": [span(), span(spanID="c", processID="p2", tags=[{"key": "node_id", "value": "n"}])],
    }
    trace["processes"] = {
        "p1": {"serviceName": "orders", "tags": [{"key": "service.instance.id", "value": "i"}]},
        "p2": {"serviceName": "stock", "tags": None},
    }
    assert [one.instance for one in each(json.dumps({"data": [trace]}).encode())[0]] == ["i", "n"]


TEXT = st.text(max_size=12)
NUMBER = st.integers(-(2**63), 2**63 - 1)
HOSTILE = st.fixed_dictionaries(
    {
        "spanID": st.sampled_from(["a", "b", "c", "\x1b"]),
        "operationName": TEXT,
        "startTime": NUMBER | st.integers(0, 100),
        "duration": NUMBER | st.integers(0, 100),
        "processID": st.sampled_from(["p1", "p2"]),
        "references": st.lists(
            st.fixed_dictionaries(
                {"refType": st.just("CHILD_OF"), "spanID": st.sampled_from(["a", "b", "\n"])}
            ),
            max_size=2,
        ),
        "tags": st.lists(
            st.fixed_dictionaries(
                {
                    "key": st.sampled_from(
                        [
                            "span.kind",
                            "http.url",
                            "http.method",
                            "http.status_code",
                            "error",
                            "upstream_attempts",
                        ]
                    ),
                    "value": TEXT
                    | NUMBER
                    | st.booleans()
                    | st.none()
                    | st.floats(allow_nan=False, allow_infinity=False),
                }
            ),
            max_size=4,
        ),
    }
)


@given(st.lists(HOSTILE, max_size=5))
def test_whatever_others_sent_to_jaeger_can_be_shown(spans: list[dict[str, Any]]) -> None:
    found = Found("t", parsed(reply(*spans)))
    assert all(line.text.isprintable() for line in trace_words.told(found, 20))
    json.dumps(trace_words.data(found))
    ranked([found.spans])
