"""OTLP over HTTP in its JSON form (OTLP specification 1.x, "JSON Protobuf Encoding").

Not the protobuf exporter of OpenTelemetry: it can't be imported beside ``xds-protos``, whose files overwrite
``opentelemetry.proto`` with an old version. The JSON form needs no message classes at all.
"""

import http.client
import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, StatusCode, format_span_id, format_trace_id

STATUS = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}


class Otlp(SpanExporter):
    """Posts each batch once; what is not taken within ``timeout`` seconds of silence is lost."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """SUCCESS when the collector answered 2xx."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, data=encoded(spans), headers=headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310 checked in settings
                taken = 200 <= response.status < 300
        except (OSError, http.client.HTTPException):
            taken = False
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing is held."""


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """A batch as an ExportTraceServiceRequest."""
    groups: dict[tuple[Resource, InstrumentationScope | None], list[dict[str, Any]]] = {}
    for span in spans:
        groups.setdefault((span.resource, span.instrumentation_scope), []).append(_span(span))
    parts = [
        {
            "resource": {"attributes": attributes(resource.attributes)},
            "scopeSpans": [{"scope": _scope(scope), "spans": ours}],
        }
        for (resource, scope), ours in groups.items()
    ]
    return json.dumps({"resourceSpans": parts}, separators=(",", ":")).encode()


def _scope(scope: InstrumentationScope | None) -> dict[str, str]:
    return {"name": scope.name, "version": scope.version or ""} if scope else {}


def _span(span: ReadableSpan) -> dict[str, Any]:
    status: dict[str, Any] = {"code": STATUS[span.status.status_code]}
    if span.status.description:
        status["message"] = span.status.description
    fields: dict[str, Any] = {
        **(_identity(span.context) if span.context else {}),
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP counts from UNSPECIFIED, the SDK from INTERNAL
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": attributes(span.attributes),
        "events": [_event(event) for event in span.events],
        "links": [_link(link) for link in span.links],
        "status": status,
    }
    if span.parent is not None:
        fields["parentSpanId"] = format_span_id(span.parent.span_id)
    return fields


def _identity(context: SpanContext) -> dict[str, Any]:
    ids = {"traceId": format_trace_id(context.trace_id), "spanId": format_span_id(context.span_id)}
    return {**ids, "traceState": context.trace_state.to_header(), "flags": int(context.trace_flags)}


def _event(event: Event) -> dict[str, Any]:
    return {
        "timeUnixNano": str(event.timestamp),
        "name": event.name,
        "attributes": attributes(event.attributes),
    }


def _link(link: Link) -> dict[str, Any]:
    return {**_identity(link.context), "attributes": attributes(link.attributes)}


def attributes(values: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Attributes as a list of KeyValue."""
    return [{"key": key, "value": _value(value)} for key, value in (values or {}).items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list() | tuple():
            return {"arrayValue": {"values": [_value(one) for one in value]}}
        case _:
            return {"stringValue": str(value)}
