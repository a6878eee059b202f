"""The OTLP exporter, kept from flooding the log and from delaying the end."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agent.tracing.metrics import Metrics

log = structlog.get_logger(__name__)


class Exporter(SpanExporter):
    """Hands spans to another exporter; says once that they are lost, and once that they arrive again.

    Lost spans are not kept: a collector that is away must cost neither memory nor the service's time. Called
    by the batch processor's thread. ``clock`` returns seconds that never go back.
    """

    def __init__(
        self,
        inner: SpanExporter,
        endpoint: str,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._metrics = metrics
        self._clock = clock
        self._until: float | None = None
        self._losing = False
        self._lock = threading.Lock()

    def closing(self, within: float) -> None:
        """From now on nothing is sent that starts later than ``within`` seconds."""
        self._until = self._clock() + within

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch, or give it up."""
        if self._until is not None and self._clock() >= self._until:
            result = SpanExportResult.FAILURE
        else:
            result = self._inner.export(spans)
        sent = result is SpanExportResult.SUCCESS
        self._metrics.spans.labels("sent" if sent else "lost").inc(len(spans))
        self._tell(sent)
        return result

    def _tell(self, sent: bool) -> None:
        with self._lock:
            changed, self._losing = self._losing is sent, not sent
        if not changed:
            return
        if sent:
            log.info("tracing.recovered", endpoint=self._endpoint)
        else:
            log.warning(
                "tracing.lost", endpoint=self._endpoint, hint="spans are dropped until the collector answers"
            )

    def shutdown(self) -> None:
        """Let go of connections."""
        self._inner.shutdown()
