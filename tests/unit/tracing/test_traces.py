"""What can be read off one span."""

import pytest

from agent.tracing import traces
from tests.unit.tracing.made import span


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v2/orders/17/lines/3", "/api/v2/orders/{id}/lines/{id}"),
        ("/users/550e8400-e29b-41d4-a716-446655440000", "/users/{id}"),
        ("/blobs/0af7651916cd43dd8448eb211c80319c", "/blobs/{id}"),
        ("/s/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/s/{id}"),
        ("/stock/teapot", "/stock/teapot"),
        ("/", "/"),
    ],
)
def test_what_names_one_thing_among_many_is_left_out_of_a_class(path: str, template: str) -> None:
    one = span("a", None, 0, 1, operation="orders", http__method="GET", http__url=f"http://orders{path}?q=1")
    assert traces.class_of(one) == f"GET {template}"
    assert traces.called(one) == f"GET {path}"


def test_a_call_says_whom_it_is_for() -> None:
    one = span("a", None, 0, 1, "front", "client", operation="front", http__method="GET",
               http__url="http://me:secret@orders:80/orders/7?x=1")  # fmt: skip
    assert traces.class_of(one) == "GET orders:80/orders/{id}"


def test_a_query_is_never_shown() -> None:
    one = span(
        "a", None, 0, 1, operation="orders", http__method="GET", http__url="http://orders/x?token=secret"
    )
    assert "secret" not in traces.called(one) + traces.class_of(one) + traces.path(one)


def test_a_span_with_a_name_of_its_own_keeps_it() -> None:
    one = span(
        "a", None, 0, 1, operation="GET /orders/<id>", http__method="GET", http__url="http://x/orders/1"
    )
    assert traces.called(one) == traces.class_of(one) == "GET /orders/<id>"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"error": True}, True),
        ({"error": "true"}, True),
        ({"otel__status_code": "ERROR"}, True),
        ({"http__status_code": "503"}, True),
        ({"http__response__status_code": 500}, True),
        ({"http__status_code": "404"}, False),
        ({"http__status_code": "5xx"}, False),
        ({"http__status_code": "5" * 5000}, False),
        ({"error": False}, False),
        ({}, False),
    ],
)
def test_a_failure_is_told_in_several_ways(tags: dict[str, str | int | bool], expected: bool) -> None:
    assert traces.failed(span("a", None, 0, 1, **tags)) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://[::1", "", "no url at all"])
def test_a_url_that_is_none_breaks_nothing(url: str) -> None:
    assert traces.called(span("a", None, 0, 1, operation="orders", http__method="GET", http__url=url))


def test_kind_and_flags() -> None:
    one = span("a", None, 0, 1, kind="SERVER", response_flags="-")
    assert (one.kind, traces.flags(one)) == ("server", "")
    assert traces.flags(span("a", None, 0, 1, response_flags="UF")) == "UF"
