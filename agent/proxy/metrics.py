"""What the proxy capability counts."""

from prometheus_client import CollectorRegistry

from agent.metrics import make
from agent.metrics.families import proxy as declared


class Metrics:
    """Planning and delivery, registered once in the agent's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.plans = make.histogram(declared.PLANS, registry)
        self.plan_failures = make.counter(declared.PLAN_FAILURES, registry)
        self.streams = make.counter(declared.STREAMS, registry)
        self.responses = make.counter(declared.RESPONSES, registry)
        self.refusals = make.counter(declared.REFUSALS, registry)
        self.connected = make.gauge(declared.CONNECTED, registry)
        self.up_to_date = make.gauge(declared.UP_TO_DATE, registry)
        self.delivery = make.histogram(declared.DELIVERY, registry)
        self.left_out = make.gauge(declared.LEFT_OUT, registry)
        self.conflicts = make.gauge(declared.CONFLICTS, registry)
