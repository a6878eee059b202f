"""The agent's own process, its spans, and whether its Envoy answers."""

from agent.metrics.declare import Kind, Metric, Unit, Where, one_of

SPANS = Metric(
    "pillion_tracing_spans_total",
    Kind.COUNTER,
    "Spans of the agent itself, by what became of them.",
    labels={"outcome": one_of("sent", "lost")},
    where=Where.SIDECAR,
    meaning="Envoy sends its own; look at the cluster `otlp` for those.",
)
ANSWERED = Metric(
    "pillion_envoy_answered",
    Kind.GAUGE,
    "1 if Envoy's own metrics are in this scrape.",
    Unit.TRUTH,
)

SERVICE_ANSWERED = Metric(
    "pillion_service_metrics_answered",
    Kind.GAUGE,
    "1 if the service's own metrics are in this scrape.",
    Unit.TRUTH,
    where=Where.SIDECAR,
    meaning="Only where `service.metrics_port` is set. 0: it did not answer 200 within 1 s; the rest is still there.",
    late=True,
)

CPU = Metric(
    "process_cpu_seconds_total",
    Kind.COUNTER,
    "Total user and system CPU time spent in seconds.",
    Unit.SECONDS,
    meaning="Of the agent, not of Envoy or the service.",
)
RESIDENT = Metric(
    "process_resident_memory_bytes",
    Kind.GAUGE,
    "Resident memory size in bytes.",
    Unit.BYTES,
    meaning="Of the agent, not of Envoy or the service.",
)
STARTED = Metric(
    "process_start_time_seconds",
    Kind.GAUGE,
    "Start time of the process since unix epoch in seconds.",
    Unit.SECONDS,
)

OWN = (SPANS, ANSWERED, SERVICE_ANSWERED)
OF_THE_LIBRARY = (CPU, RESIDENT, STARTED)
ALL = (*OWN, *OF_THE_LIBRARY)
