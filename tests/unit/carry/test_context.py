"""What is sent on where the service has spans of its own."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from tests.unit.carry.conftest import Hook
from tests.unit.carry.test_headers import PARENT

TRACE = int(PARENT[3:35], 16)


def test_outside_of_a_span_the_incoming_trace_goes_on(hook: Hook) -> None:
    carried = hook.context.Carried(PARENT, "a=1", "b=2", "id-1")
    assert carried.to_send() is carried.checked


def test_the_service_s_own_span_is_the_parent(hook: Hook) -> None:
    carried = hook.context.Carried(PARENT, "a=1", "b=2", "id-1")
    flags, state = TraceFlags(TraceFlags.SAMPLED), TraceState([("a", "1"), ("own", "2")])
    remote = NonRecordingSpan(SpanContext(TRACE, 7, is_remote=True, trace_flags=flags, trace_state=state))
    tracer = TracerProvider().get_tracer("service")
    with tracer.start_as_current_span("view", context=set_span_in_context(remote)) as span:
        sent = carried.to_send()
    assert sent.traceparent == f"{PARENT[:35]}-{span.get_span_context().span_id:016x}-01"
    assert (sent.tracestate, sent.baggage, sent.request_id) == ("a=1,own=2", "b=2", "id-1")
