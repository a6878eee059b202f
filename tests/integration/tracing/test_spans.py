"""The agent's spans in a real Jaeger, and what happens without one."""

import asyncio
import logging
import socket
import threading
import time
import uuid

import aiohttp
import pytest
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from agent.config.sections.mesh import Tracing
from agent.config.sections.service import Service
from agent.config.settings import Settings
from agent.demo.backing import Jaeger as JaegerServer
from agent.demo.backing import free_port
from agent.runtime.errors import Transient
from agent.tracing import spans
from agent.tracing.jaeger import Jaeger
from agent.tracing.metrics import Metrics
from tests.waiting import until


def settings(endpoint: str, sample: float = 0.0) -> Settings:
    """The settings of an agent beside orders."""
    return Settings(service=Service(name="orders"), tracing=Tracing(endpoint=endpoint, sample=sample))


def metrics() -> Metrics:
    """Metrics that nobody reads."""
    return Metrics(CollectorRegistry())


def otel_threads() -> set[threading.Thread]:
    """The SDK's threads that run."""
    return {thread for thread in threading.enumerate() if "Otel" in thread.name}


async def test_a_span_has_the_parent_that_the_traceparent_names(shared_jaeger: JaegerServer) -> None:
    trace_id, parent_id = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    parent = TraceContextTextMapPropagator().extract({"traceparent": f"00-{trace_id}-{parent_id}-01"})
    began = time.time()
    async with spans.setup(settings(shared_jaeger.endpoint), metrics()) as provider:
        tracer = provider.get_tracer("agent.outbox")
        with tracer.start_as_current_span("publish", context=parent, attributes={"messages": 3}) as span:
            span.add_event("acknowledged", {"subjects": ["a", "b"]})
            span.set_status(trace.StatusCode.ERROR, "refused")
            await asyncio.sleep(0.01)
    ended = time.time()
    async with aiohttp.ClientSession() as session:
        jaeger = Jaeger(session, shared_jaeger.url)
        (found,) = await until(lambda: jaeger.trace(trace_id), within=60)
    assert (found.service, found.operation, found.parent) == ("orders-agent", "publish", parent_id)
    assert (found.tag("messages"), found.tag("error"), found.tag("otel.scope.name")) == (
        3,
        True,
        "agent.outbox",
    )
    rounded = 1e-5
    assert 0.01 - rounded <= found.duration <= ended - began + rounded
    assert began - rounded <= found.start <= ended + rounded


async def test_a_caller_s_decision_not_to_sample_is_kept(shared_jaeger: JaegerServer) -> None:
    parent = TraceContextTextMapPropagator().extract(
        {"traceparent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-00"}
    )
    async with spans.setup(settings(shared_jaeger.endpoint, sample=1.0), metrics()) as provider:
        tracer = provider.get_tracer("agent")
        assert not tracer.start_span("x", context=parent).is_recording()
        assert tracer.start_span("x").is_recording()


async def test_an_unknown_trace_has_no_span(shared_jaeger: JaegerServer) -> None:
    async with aiohttp.ClientSession() as session:
        assert await Jaeger(session, shared_jaeger.url).trace(uuid.uuid4().hex) == ()


async def test_an_absent_jaeger_is_transient_and_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Transient, match=url):
            await Jaeger(session, url).trace(uuid.uuid4().hex)


async def test_without_an_endpoint_there_are_neither_spans_nor_threads() -> None:
    before = otel_threads()
    async with spans.setup(settings(""), metrics()) as provider:
        assert not provider.get_tracer("agent").start_span("x").is_recording()
        assert otel_threads() <= before


@pytest.mark.parametrize("dead", ["refuses", "is silent"])
async def test_a_dead_collector_neither_blocks_nor_floods_the_log(
    caplog: pytest.LogCaptureFixture, dead: str
) -> None:
    """Thousands of spans, more than the queue holds: ten batches, of which four wait when it stops."""
    before = otel_threads()
    with socket.socket() as silent, capture_logs() as logs, caplog.at_level(logging.DEBUG):
        silent.bind(("127.0.0.1", 0))
        if dead == "is silent":
            silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with spans.setup(settings(endpoint, sample=1.0), metrics()) as provider:
            tracer = provider.get_tracer("agent")
            started = time.monotonic()
            for _ in range(5000):
                tracer.start_span("x").end()
            assert time.monotonic() - started < 8 * spans.TIMEOUT
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 4.5 * spans.TIMEOUT
        await until(lambda: otel_threads() <= before)
    assert [line["event"] for line in logs] == ["tracing.lost"]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_the_process_s_own_opentelemetry_is_left_alone(shared_jaeger: JaegerServer) -> None:
    before = trace.get_tracer_provider()
    async with spans.setup(settings(shared_jaeger.endpoint), metrics()):
        assert trace.get_tracer_provider() is before
    assert logging.getLogger("opentelemetry").propagate
