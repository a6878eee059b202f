"""Exporting without flooding the log or delaying the end."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from agent.config.sections.mesh import Tracing
from agent.config.sections.service import Service
from agent.config.settings import Settings
from agent.tracing.export import Exporter
from agent.tracing.metrics import Metrics
from agent.tracing.spans import resource, without_secrets

SPANS = [ReadableSpan("a"), ReadableSpan("b")]


class Collector(SpanExporter):
    """An exporter to nowhere that succeeds while ``up``."""

    def __init__(self) -> None:
        self.up = True
        self.calls = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        return SpanExportResult.SUCCESS if self.up else SpanExportResult.FAILURE


def test_losing_spans_is_said_once_and_so_is_recovering() -> None:
    collector, registry = Collector(), CollectorRegistry()
    exporter = Exporter(collector, "http://jaeger", Metrics(registry))
    with capture_logs() as logs:
        for up in (True, False, False, False, True, True, False):
            collector.up = up
            exporter.export(SPANS)
    assert [line["event"] for line in logs] == ["tracing.lost", "tracing.recovered", "tracing.lost"]
    counted = {
        o: registry.get_sample_value("pillion_tracing_spans_total", {"outcome": o}) for o in ("sent", "lost")
    }
    assert counted == {"sent": 6, "lost": 8}


def test_once_closing_nothing_new_is_sent_after_the_time_allowed() -> None:
    collector, now = Collector(), [10.0]
    exporter = Exporter(collector, "http://jaeger", Metrics(CollectorRegistry()), clock=lambda: now[0])
    exporter.closing(1.0)
    assert exporter.export(SPANS) is SpanExportResult.SUCCESS
    now[0] += 1.0
    assert exporter.export(SPANS) is SpanExportResult.FAILURE
    assert collector.calls == 1


@pytest.mark.parametrize("endpoint", ["http://j:4318", "http://j:4318/", "http://j:4318/v1/traces"])
def test_an_endpoint_is_a_base_or_the_whole_url(endpoint: str) -> None:
    assert Tracing(endpoint=endpoint).traces_url == "http://j:4318/v1/traces"


def test_a_password_in_the_endpoint_is_not_logged() -> None:
    assert without_secrets("http://user:secret@j:4318/v1/traces?key=secret") == "http://j:4318/v1/traces"


@pytest.mark.parametrize(("service", "name"), [("orders", "orders-agent"), ("", "pillion")])
def test_spans_are_the_agent_s_not_the_service_s(service: str, name: str) -> None:
    assert resource(Settings(service=Service(name=service))).attributes["service.name"] == name
