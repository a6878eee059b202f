"""A declaration as the object of ``prometheus_client`` that counts: the only place that makes one."""

import itertools

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent.metrics.declare import Metric


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """A counter; the library adds ``_total`` to its name by itself."""
    made = Counter(metric.name.removesuffix("_total"), metric.help, list(metric.labels), registry=registry)
    _begin(metric, made)
    return made


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """A gauge."""
    made = Gauge(metric.name, metric.help, list(metric.labels), registry=registry)
    _begin(metric, made)
    return made


def histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """A histogram with the declared buckets."""
    made = Histogram(metric.name, metric.help, list(metric.labels), registry=registry, buckets=metric.buckets)
    _begin(metric, made)
    return made


def _begin(metric: Metric, made: Counter | Gauge | Histogram) -> None:
    # Prometheus sees no rise in a series that appears with its first event: those that can be known start at 0.
    if metric.labels and all(metric.labels.values()):
        for values in itertools.product(*metric.labels.values()):
            made.labels(*values)
