"""The numbers of this capability."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Made once for a process, on its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registered = Gauge(
            "pillion_registered", "1 while Consul knows this instance as it should be.", registry=registry
        )
        self.passing = Gauge(
            "pillion_check_passing", "1 while the check was last told passing, 0 critical.", registry=registry
        )
        self.repairs = Counter(
            "pillion_registration_repairs", "Registrations written, by reason.", ["reason"], registry=registry
        )
        self.updates = Counter(
            "pillion_check_updates", "Updates of the TTL check, by outcome.", ["outcome"], registry=registry
        )
        self.healthy = Gauge(
            "pillion_service_healthy", "1 while the service answers its health check.", registry=registry
        )
        self.probes = Counter(
            "pillion_service_probes", "Health checks of the service.", ["outcome"], registry=registry
        )
        self.failures = Counter(
            "pillion_consul_failures",
            "Questions that Consul did not answer, by subject.",
            ["subject"],
            registry=registry,
        )
        self.skipped = Counter(
            "pillion_catalog_skipped",
            "Entries of the catalogue that were left out as malformed.",
            registry=registry,
        )
        self.services = Gauge("pillion_catalog_services", "Services in the catalogue.", registry=registry)
        self.instances = Gauge("pillion_catalog_instances", "Instances in the catalogue.", registry=registry)
        self.stale = Gauge("pillion_catalog_stale_services", "Services that Consul lost.", registry=registry)
        self.left_out = Gauge(
            "pillion_catalog_left_out_services", "Services beyond the limit.", registry=registry
        )
        self.keys = Gauge("pillion_store_keys", "Keys in the configuration store.", registry=registry)
        self.refused = Gauge(
            "pillion_store_refused", "Values that can't be delivered as they are.", registry=registry
        )
        self.deliveries = Counter(
            "pillion_store_deliveries",
            "Deliveries of changed configuration, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.overrides = Counter(
            "pillion_override_changes",
            "Changes of the live override, by outcome.",
            ["outcome"],
            registry=registry,
        )
