"""The tracer provider of the agent itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from agent.config.settings import Settings
from agent.tracing.export import Exporter
from agent.tracing.metrics import Metrics
from agent.tracing.otlp import Otlp

TIMEOUT = 2.0
"""Seconds that the collector may be silent before a batch is given up; it is near."""
STOP = 1.0
"""Seconds after which a stop sends no further batch.

With the one under way a stop ends within TIMEOUT + STOP.
"""
DELAY = 1.0
"""Seconds for which spans gather; short, so that a trace is whole soon after it ended."""


@asynccontextmanager
async def setup(settings: Settings, metrics: Metrics) -> AsyncIterator[TracerProvider]:
    """The provider for the agent's tracers while the block runs; one that makes no spans without an endpoint.

    A caller's sampling decision is kept, other traces are sampled at ``tracing.sample``. On leaving, what was
    gathered is sent; that ends within ``TIMEOUT + STOP`` seconds and never raises for a collector that is
    away.
    """
    if not settings.tracing.endpoint:
        yield NoOpTracerProvider()
        return
    url = settings.tracing.traces_url
    exporter = Exporter(Otlp(url, TIMEOUT), without_secrets(url), metrics)
    provider = SdkTracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.tracing.sample)),
        resource=resource(settings),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=DELAY * 1000))
    with silenced("opentelemetry"):
        try:
            yield provider
        finally:
            exporter.closing(STOP)
            stop = asyncio.create_task(asyncio.to_thread(provider.shutdown), name="tracing stop")
            await asyncio.wait([stop], timeout=TIMEOUT + STOP)


def resource(settings: Settings) -> Resource:
    """Who made the spans; ``tracing.attributes`` and ``OTEL_RESOURCE_ATTRIBUTES`` may add to it."""
    service = settings.service.name
    name = f"{service}-agent" if service else "pillion"
    own = {SERVICE_NAME: name, SERVICE_VERSION: version("pillion")}
    return Resource.create({**settings.tracing.attributes, **own})


def without_secrets(url: str) -> str:
    """The URL without user and password, for logs."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Keep a library's own log out of ours.

    It repeats itself for every batch that a dead collector doesn't take.
    """
    logger = logging.getLogger(name)
    before, quiet = logger.propagate, logging.NullHandler()
    logger.propagate = False
    logger.addHandler(quiet)
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(quiet)
