"""What the proxy capability counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Planning and delivery, registered once in the agent's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.plans = Histogram(
            "pillion_plan_seconds",
            "Time to plan Envoy's configuration from the catalogue and the settings.",
            registry=registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2),
        )
        self.plan_failures = Counter(
            "pillion_plan_failures", "Plans that failed; the former configuration stayed.", registry=registry
        )
        self.streams = Counter("pillion_xds_streams", "Streams that an Envoy opened.", registry=registry)
        self.responses = Counter(
            "pillion_xds_responses", "Responses sent to Envoy.", ["type"], registry=registry
        )
        self.refusals = Counter(
            "pillion_xds_refusals",
            "Updates that Envoy refused or that could not be encoded.",
            ["type"],
            registry=registry,
        )
        self.connected = Gauge(
            "pillion_xds_connected", "1 while an Envoy is on the stream.", registry=registry
        )
        self.up_to_date = Gauge(
            "pillion_xds_up_to_date",
            "1 while the newest configuration is the one in force.",
            registry=registry,
        )
        self.delivery = Histogram(
            "pillion_xds_delivery_seconds",
            "From a new configuration to its acceptance as a whole.",
            registry=registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
        )
