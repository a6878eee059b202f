"""The numbers of the webhook. Made once for a process, on its registry."""

from prometheus_client import CollectorRegistry

from agent.metrics import make
from agent.metrics.families import injector as declared


class Metrics:
    """What the injector counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reviews = make.counter(declared.REVIEWS, registry)
        self.duration = make.histogram(declared.DURATION, registry)
        self.expires = make.gauge(declared.EXPIRES, registry)
        self.ready = make.gauge(declared.READY, registry)
        self.issued = make.counter(declared.ISSUED, registry)
        self.repairs = make.counter(declared.REPAIRS, registry)
        self.failures = make.counter(declared.FAILURES, registry)
