"""Consul: the catalogue that every agent reads, and what an agent beside a service has of its own."""

from agent.metrics.declare import Kind, Metric, Unit, Where, one_of

FAILURES = Metric(
    "pillion_consul_failures_total",
    Kind.COUNTER,
    "Questions that Consul did not answer, by subject.",
    labels={"subject": one_of("registration", "catalog", "configuration", "override")},
)
SKIPPED = Metric(
    "pillion_catalog_skipped_total",
    Kind.COUNTER,
    "Entries of the catalogue that were left out as malformed.",
)
SERVICES = Metric("pillion_catalog_services", Kind.GAUGE, "Services in the catalogue.")
INSTANCES = Metric("pillion_catalog_instances", Kind.GAUGE, "Instances in the catalogue.")
STALE = Metric(
    "pillion_catalog_stale_services",
    Kind.GAUGE,
    "Services that Consul lost, or of whose nodes it lost sight.",
    meaning=(
        "Their last known instances stay in use: for `registry.keep_last`, or for as long as they are out of sight."
    ),
)
LEFT_OUT = Metric(
    "pillion_catalog_left_out_services",
    Kind.GAUGE,
    "Services beyond the limit.",
    meaning="Only where `upstreams` is `*`; name the upstreams that are called.",
)

REGISTERED = Metric(
    "pillion_registered",
    Kind.GAUGE,
    "1 while Consul knows this instance as it should be.",
    Unit.TRUTH,
    where=Where.SIDECAR,
)
PASSING = Metric(
    "pillion_check_passing",
    Kind.GAUGE,
    "1 while the check was last told passing, 0 critical.",
    Unit.TRUTH,
    where=Where.SIDECAR,
)
REPAIRS = Metric(
    "pillion_registration_repairs_total",
    Kind.COUNTER,
    "Registrations written, by reason.",
    labels={"reason": one_of("new", "lost", "changed")},
    where=Where.SIDECAR,
    meaning="`lost`: Consul had forgotten the instance; `changed`: somebody wrote something else over it.",
)
UPDATES = Metric(
    "pillion_check_updates_total",
    Kind.COUNTER,
    "Updates of the TTL check, by outcome.",
    labels={"outcome": one_of("told", "unknown")},
    where=Where.SIDECAR,
    meaning="`unknown`: Consul did not know the check, which is registered again.",
)
HEALTHY = Metric(
    "pillion_service_healthy",
    Kind.GAUGE,
    "1 while the service answers its health check.",
    Unit.TRUTH,
    where=Where.SIDECAR,
)
PROBES = Metric(
    "pillion_service_probes_total",
    Kind.COUNTER,
    "Health checks of the service, by outcome.",
    labels={"outcome": one_of("success", "failure")},
    where=Where.SIDECAR,
)
KEYS = Metric("pillion_store_keys", Kind.GAUGE, "Keys in the configuration store.", where=Where.SIDECAR)
REFUSED = Metric(
    "pillion_store_refused",
    Kind.GAUGE,
    "Values that can't be delivered as they are.",
    where=Where.SIDECAR,
    meaning="The former value stays in force; `pillion status` names each key and why.",
)
DELIVERIES = Metric(
    "pillion_store_deliveries_total",
    Kind.COUNTER,
    "Deliveries of changed configuration, by outcome.",
    labels={"outcome": one_of("delivered", "failed")},
    where=Where.SIDECAR,
)
UNSETTLED = Metric(
    "pillion_store_unsettled",
    Kind.GAUGE,
    "1 while a change of configuration waits for the service's restart, or the service for passing its check after it.",
    Unit.TRUTH,
    where=Where.SIDECAR,
    meaning=(
        "Only with `store.action: restart`, where one instance restarts after the other; `pillion status` says for "
        "what it waits."
    ),
)
OVERRIDES = Metric(
    "pillion_override_changes_total",
    Kind.COUNTER,
    "Changes of the live override, by outcome.",
    labels={"outcome": one_of("accepted", "removed", "refused")},
)

ALL = (
    FAILURES, SKIPPED, SERVICES, INSTANCES, STALE, LEFT_OUT, REGISTERED, PASSING, REPAIRS, UPDATES, HEALTHY, PROBES,
    KEYS, REFUSED, DELIVERIES, UNSETTLED, OVERRIDES,
)  # fmt: skip
