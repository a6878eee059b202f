"""One line a call, though several spans measured it."""

import pytest
from hypothesis import given

from agent.tracing.hops import Hop, hop, walked
from agent.tracing.times import critical_path, on_path, self_time
from agent.tracing.traces import Span
from agent.tracing.tree import grown
from tests.unit.tracing.made import call, span
from tests.unit.tracing.test_tree import nodes, spans


def hops(*given: Span) -> list[Hop]:
    """All hops of the only tree."""
    (root,) = grown(given).roots
    return [one for one, _ in walked(hop(root))]


def test_the_caller_s_and_the_callee_s_span_are_one_hop() -> None:
    front, orders = hops(
        span("f", None, 0, 100, "front", "server"), *call("front", "orders", "co", "f", 10, 50)
    )
    assert (front.span.service, orders.span.service) == ("front", "orders")
    assert [node.span.id for node in orders.nodes] == ["c", "o"]
    assert (orders.duration, orders.self_time, orders.between) == (50_000, 48_000, 2_000)


def test_a_service_s_own_spans_of_the_same_call_belong_to_it() -> None:
    """OpenTelemetry in the service: its client span, its sidecar's, the callee's sidecar's, the callee's own."""
    (front, orders, own) = hops(
        span("f", None, 0, 100, "front", "server"),
        span("k", "f", 9, 53, "front", "client", operation="GET"),
        *call("front", "orders", "co", "k", 10, 50),
        span("s", "o", 12, 45, "orders", "server", operation="GET /<id>"),
        span("w", "s", 13, 5, "orders", "internal"),
    )
    assert [node.span.id for node in orders.nodes] == ["k", "c", "o", "s"]
    assert [node.span.id for node in own.nodes] == ["w"]
    assert (orders.duration, orders.self_time, orders.between) == (53_000, 40_000, 8_000)
    assert front.self_time == 47_000


def test_several_tries_are_shown_each() -> None:
    client, first, second = hops(
        span("c", None, 0, 30, "front", "client", upstream_attempts="2"),
        span("x", "c", 1, 5, "orders", "server", error=True),
        span("y", "c", 10, 15, "orders", "server"),
    )
    assert (client.attempts, len(client.nodes)) == (2, 1)
    assert (first.failed, second.failed, client.failed) == (True, False, False)


def test_a_gateway_is_a_hop_of_its_own() -> None:
    found = hops(span("g", None, 0, 10, "gateway", "server"), span("f", "g", 1, 8, "front", "server"))
    assert [one.span.service for one in found] == ["gateway", "front"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"upstream_cluster": "upstream_orders", "http__status_code": "200"}, True),
        ({"upstream_cluster": "external_hosts", "http__status_code": "200"}, False),
        ({"upstream_cluster": "upstream_orders", "http__status_code": "503", "response_flags": "UF"}, False),
        ({}, False),
    ],
)
def test_a_call_within_the_mesh_without_the_callee_s_span_is_incomplete(
    tags: dict[str, str], expected: bool
) -> None:
    (found,) = hops(span("c", None, 0, 30, "front", "client", **tags))
    assert found.unanswered is expected


@pytest.mark.parametrize("told", ["", "-", "x", "9" * 99])
def test_a_count_of_tries_that_is_none_is_one(told: str) -> None:
    assert hops(span("c", None, 0, 30, kind="client", upstream_attempts=told))[0].attempts == 1


@given(spans())
def test_hops_lose_no_span_and_no_time(given: list[Span]) -> None:
    forest = grown(given)
    found = [one for root in forest.roots for one, _ in walked(hop(root))]
    assert sorted(node.span.id for one in found for node in one.nodes) == sorted(one.id for one in given)
    whole = sum(self_time(node) for node in nodes(forest))
    assert sum(one.self_time + one.between for one in found) == whole
    for root in forest.roots:
        path = on_path(critical_path(root))
        assert sum(one.waited(path) for one, _ in walked(hop(root))) == root.duration
