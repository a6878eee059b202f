"""Spans in OTLP's JSON form."""

import json

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode

from agent.tracing.otlp import encoded


def spans() -> list[ReadableSpan]:
    """A parent and a child with everything that a span can have."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "orders-agent"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("agent.outbox", "1.0")
    with tracer.start_as_current_span("parent", kind=SpanKind.PRODUCER) as parent:
        link = Link(parent.get_span_context(), {"why": "batch"})
        attributes = {"s": "é", "i": 2**40, "b": True, "f": 0.5, "l": ["a", "b"]}
        with tracer.start_as_current_span("child", attributes=attributes, links=[link]) as child:
            child.add_event("sent", {"n": 1}, timestamp=7)
            child.set_status(StatusCode.ERROR, "refused")
    return list(kept.get_finished_spans())


def test_a_batch_is_an_export_request_that_the_specification_describes() -> None:
    child, parent = spans()
    (group,) = json.loads(encoded([child, parent]))["resourceSpans"]
    service = {"key": "service.name", "value": {"stringValue": "orders-agent"}}
    assert group["resource"]["attributes"] == [service]
    (scope,) = group["scopeSpans"]
    assert scope["scope"] == {"name": "agent.outbox", "version": "1.0"}
    first, second = scope["spans"]
    assert (first["name"], first["kind"], second["name"], second["kind"]) == ("child", 1, "parent", 4)
    assert first["parentSpanId"] == second["spanId"]
    assert first["traceId"] == second["traceId"] == f"{parent.context.trace_id:032x}"
    assert (first["startTimeUnixNano"], first["status"]) == (
        str(child.start_time),
        {"code": 2, "message": "refused"},
    )
    assert {one["key"]: one["value"] for one in first["attributes"]} == {
        "s": {"stringValue": "é"},
        "i": {"intValue": str(2**40)},
        "b": {"boolValue": True},
        "f": {"doubleValue": 0.5},
        "l": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}},
    }
    event = {"timeUnixNano": "7", "name": "sent", "attributes": [{"key": "n", "value": {"intValue": "1"}}]}
    assert first["events"] == [event]
    assert first["links"][0]["spanId"] == second["spanId"]
    assert "parentSpanId" not in second


def test_the_exporter_lives_beside_envoy_s_messages() -> None:
    """``xds-protos`` overwrites ``opentelemetry.proto``; nothing of ours may need it."""
    import envoy.service.discovery.v3.discovery_pb2 as discovery

    assert discovery.DiscoveryRequest
    assert encoded(spans())
