"""The injector: admission reviews and the certificate that they come by."""

from agent.metrics.declare import Kind, Metric, Unit, Where, one_of

REVIEWS = Metric(
    "pillion_injector_reviews_total",
    Kind.COUNTER,
    "Admission reviews, by what became of them.",
    labels={"result": one_of("injected", "skipped", "refused", "other", "malformed", "busy", "failed")},
    where=Where.INJECTOR,
    meaning=(
        "`refused`: an annotation or the pod is wrong, and its author was told; `failed`: the fault is here or in the "
        "cluster; `other`: no pod that is created; `busy`: too many large ones at once, which were turned away."
    ),
)
DURATION = Metric(
    "pillion_injector_review_seconds",
    Kind.HISTOGRAM,
    "Time from a review's headers to its answer.",
    Unit.SECONDS,
    where=Where.INJECTOR,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10),
)
EXPIRES = Metric(
    "pillion_injector_certificate_expiry_seconds",
    Kind.GAUGE,
    "When the webhook's certificate ends, in seconds since unix epoch.",
    Unit.SECONDS,
    where=Where.INJECTOR,
)
READY = Metric(
    "pillion_injector_ready",
    Kind.GAUGE,
    "1 while the injector is to be asked.",
    Unit.TRUTH,
    where=Where.INJECTOR,
    meaning="`/readyz` says why not: no valid certificate, or a webhook configuration without its CA.",
)
ISSUED = Metric(
    "pillion_injector_certificates_total",
    Kind.COUNTER,
    "Certificates that came into use, by kind.",
    labels={"kind": one_of("ca", "serving", "read")},
    where=Where.INJECTOR,
    meaning="`ca`: written into the Secret for all replicas; `read`: from files.",
)
REPAIRS = Metric(
    "pillion_injector_ca_repairs_total",
    Kind.COUNTER,
    "Times that the CA was written into the webhook configuration.",
    where=Where.INJECTOR,
    meaning="At the start and at a rotation; more of them mean that another program takes it out again.",
)
FAILURES = Metric(
    "pillion_injector_cluster_failures_total",
    Kind.COUNTER,
    "Questions that the API server did not answer, by subject.",
    labels={"subject": one_of("certificates", "namespaces", "configuration", "secret")},
    where=Where.INJECTOR,
)

SWEPT = Metric(
    "pillion_sweep_removed_total",
    Kind.COUNTER,
    "What dead pods had left in Consul and the sweep removed.",
    labels={"what": one_of("instance", "node")},
    where=Where.INJECTOR,
    meaning="Only with `registry_mode: catalog`. An orderly stop leaves nothing, so these are kills and lost nodes.",
)
LOOKED = Metric(
    "pillion_sweep_last_look_seconds",
    Kind.GAUGE,
    "When the sweep last looked without a failure, in seconds since unix epoch.",
    Unit.SECONDS,
    where=Where.INJECTOR,
    meaning="0 in a replica that does not lead, or never looked. Only with `registry_mode: catalog`.",
)

ALL = (REVIEWS, DURATION, EXPIRES, READY, ISSUED, REPAIRS, FAILURES, SWEPT, LOOKED)
