"""The numbers of this capability."""

from prometheus_client import CollectorRegistry

from agent.metrics import make
from agent.metrics.families import injector
from agent.metrics.families import registry as declared


class Reads:
    """What every agent counts: its reading of the catalogue and of its live settings. Made once for a process, on
    its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = make.counter(declared.FAILURES, registry)
        self.skipped = make.counter(declared.SKIPPED, registry)
        self.services = make.gauge(declared.SERVICES, registry)
        self.instances = make.gauge(declared.INSTANCES, registry)
        self.stale = make.gauge(declared.STALE, registry)
        self.left_out = make.gauge(declared.LEFT_OUT, registry)
        self.overrides = make.counter(declared.OVERRIDES, registry)


class Sweeps:
    """What the injector counts of the sweep."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.removed = make.counter(injector.SWEPT, registry)
        self.looked = make.gauge(injector.LOOKED, registry)


class Metrics(Reads):
    """And what an agent beside a service has of its own: a gateway would show zeros that mean nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.registered = make.gauge(declared.REGISTERED, registry)
        self.passing = make.gauge(declared.PASSING, registry)
        self.repairs = make.counter(declared.REPAIRS, registry)
        self.updates = make.counter(declared.UPDATES, registry)
        self.healthy = make.gauge(declared.HEALTHY, registry)
        self.probes = make.counter(declared.PROBES, registry)
        self.keys = make.gauge(declared.KEYS, registry)
        self.refused = make.gauge(declared.REFUSED, registry)
        self.deliveries = make.counter(declared.DELIVERIES, registry)
        self.unsettled = make.gauge(declared.UNSETTLED, registry)
