"""What the agent counts of its own spans; apart from what sends them, which takes a megabyte to load."""

from prometheus_client import CollectorRegistry

from agent.metrics import make
from agent.metrics.families import process as declared


class Metrics:
    """Whether the agent's spans reach the collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.spans = make.counter(declared.SPANS, registry)
