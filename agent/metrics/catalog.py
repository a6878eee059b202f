"""All declarations by the name that they are stored under."""

from collections.abc import Mapping
from types import MappingProxyType

from agent.metrics.declare import Kind, Metric
from agent.metrics.families import envoy, inbox, injector, outbox, process, prometheus, proxy, registry

GROUPS: Mapping[str, tuple[Metric, ...]] = MappingProxyType(
    {
        "Consul": registry.ALL,
        "Envoy's configuration": proxy.ALL,
        "The outbox": outbox.ALL,
        "The inbox": inbox.ALL,
        "The injector": injector.ALL,
        "The agent": process.ALL,
        "Envoy": envoy.ALL,
        "Prometheus": prometheus.ALL,
    }
)
"""The declarations under the headings of docs/metrics.md."""

OWN: tuple[Metric, ...] = (
    *registry.ALL, *proxy.ALL, *outbox.ALL, *inbox.ALL, *injector.ALL, *process.OWN,
)  # fmt: skip
"""Those that Pillion itself counts."""

ALL: tuple[Metric, ...] = tuple(metric for group in GROUPS.values() for metric in group)

SERIES: Mapping[str, Metric] = MappingProxyType({name: metric for metric in ALL for name in metric.series})
"""Each metric by the names of its series."""


def labels(series: str) -> frozenset[str]:
    """The labels that a series has in Prometheus; raises KeyError for one that is not declared."""
    metric = SERIES[series]
    bound = ("le",) if metric.kind is Kind.HISTOGRAM and series.endswith("_bucket") else ()
    return frozenset((*metric.labels, *prometheus.SCRAPE, *bound))
