"""Jaeger's replies as values."""

import json
from typing import Any

import pytest

from agent.runtime.errors import Permanent
from agent.tracing.jaeger import Jaeger, Span, parsed


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
