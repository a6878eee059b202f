"""Whether the collector takes spans is asked with an empty batch."""

import pytest

from agent.demo import backing
from tests.integration.doctor.conftest import Doctor


def test_a_jaeger_in_order_takes_spans_and_is_asked_for_traces(
    doctor: Doctor, shared_jaeger: backing.Jaeger
) -> None:
    doctor(TRACING_ENDPOINT=shared_jaeger.endpoint, TRACING_QUERY=shared_jaeger.url)
    assert doctor.one("tracing.collector")["found"] == "it takes spans"
    assert doctor.one("jaeger.reachable")["level"] == "ok"
    doctor(TRACING_ENDPOINT=f"{shared_jaeger.endpoint}/v1/traces", TRACING_QUERY=shared_jaeger.url)
    assert doctor.one("tracing.collector")["found"] == "it takes spans", "the whole URL will do too"


@pytest.mark.provokes("tracing.collector", "warning")
@pytest.mark.provokes("jaeger.reachable", "warning")
def test_a_collector_and_a_jaeger_that_are_away(doctor: Doctor) -> None:
    """Services go on without: it is a warning."""
    nowhere = f"http://127.0.0.1:{backing.free_port()}"
    doctor(TRACING_ENDPOINT=nowhere, TRACING_QUERY=nowhere)
    assert "it does not answer: Connection refused" in doctor.one("tracing.collector")["found"]
    assert "tracing.endpoint" in doctor.one("tracing.collector")["todo"]
    assert "tracing.query" in doctor.one("jaeger.reachable")["todo"]


@pytest.mark.provokes("tracing.collector", "warning")
def test_an_endpoint_that_is_jaegers_page(doctor: Doctor, shared_jaeger: backing.Jaeger) -> None:
    """The usual slip: the query port for the collector's."""
    doctor(TRACING_ENDPOINT=shared_jaeger.url, TRACING_QUERY=shared_jaeger.url)
    assert doctor.one("tracing.collector")["found"] == "what answers is a page, not a collector"
    assert "usually port 4318" in doctor.one("tracing.collector")["todo"]
