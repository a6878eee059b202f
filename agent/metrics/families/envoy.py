"""Envoy's own metrics, as far as rules and the dashboard ask for them: its names, its labels, its meanings.

Clusters are named by the planner: ``upstream_NAME`` another service of the mesh, ``service_reuse`` and
``service_once`` the service behind its own sidecar, ``external_hosts``, ``otlp``, ``xds``. Connection managers are
``inbound``, ``outbound`` (and a port's own) and ``gateway``.

Source: Envoy's manual, statistics of connection managers, clusters, circuit breakers and outlier detection.
"""

from agent.metrics.declare import ANY, Kind, Metric, Unit

MANAGER = "envoy_http_conn_manager_prefix"
CLUSTER = "envoy_cluster_name"
CLASS = "envoy_response_code_class"

_OF_MANAGER = {MANAGER: ANY}
_OF_CLUSTER = {CLUSTER: ANY}

# Buckets are set in envoy/bootstrap.yaml.
_TIMES = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)

ANSWERS = Metric(
    "envoy_http_downstream_rq_xx",
    Kind.COUNTER,
    "Answers given, by connection manager and class of status.",
    labels={**_OF_MANAGER, CLASS: ANY},
    late=True,
)
TIME = Metric(
    "envoy_http_downstream_rq_time",
    Kind.HISTOGRAM,
    "Time from a request's first byte to its answer's last, by connection manager.",
    Unit.MILLISECONDS,
    labels=_OF_MANAGER,
    buckets=_TIMES,
    late=True,
)

UPSTREAM_ANSWERS = Metric(
    "envoy_cluster_upstream_rq_xx",
    Kind.COUNTER,
    "Answers of a cluster, by class of status; tries that were repeated are in it.",
    labels={**_OF_CLUSTER, CLASS: ANY},
    late=True,
)
UPSTREAM_TIME = Metric(
    "envoy_cluster_upstream_rq_time",
    Kind.HISTOGRAM,
    "Time until a cluster's answer was complete.",
    Unit.MILLISECONDS,
    labels=_OF_CLUSTER,
    buckets=_TIMES,
    late=True,
)
RETRIES = Metric(
    "envoy_cluster_upstream_rq_retry", Kind.COUNTER, "Requests repeated.", labels=_OF_CLUSTER, late=True
)
UNREACHED = Metric(
    "envoy_cluster_upstream_cx_connect_fail",
    Kind.COUNTER,
    "Connections to a cluster that failed.",
    labels=_OF_CLUSTER,
    late=True,
)
HEALTHY = Metric(
    "envoy_cluster_membership_healthy",
    Kind.GAUGE,
    "Instances of a cluster that may get requests.",
    labels=_OF_CLUSTER,
    meaning="Pillion gives Envoy the passing instances only, so 0 means that none passes, or that all are ejected or "
    "fail their active checks; then requests go to all of them.",
)
MEMBERS = Metric("envoy_cluster_membership_total", Kind.GAUGE, "Instances of a cluster.", labels=_OF_CLUSTER)
EJECTED = Metric(
    "envoy_cluster_outlier_detection_ejections_active",
    Kind.GAUGE,
    "Instances that are left out now because they kept failing.",
    labels=_OF_CLUSTER,
    late=True,
)
CONNECTIONS_OPEN = Metric(
    "envoy_cluster_circuit_breakers_default_cx_open",
    Kind.GAUGE,
    "1 while a cluster's limit of connections is reached.",
    Unit.TRUTH,
    labels=_OF_CLUSTER,
)
REQUESTS_OPEN = Metric(
    "envoy_cluster_circuit_breakers_default_rq_open",
    Kind.GAUGE,
    "1 while a cluster's limit of requests is reached.",
    Unit.TRUTH,
    labels=_OF_CLUSTER,
)
PENDING_OPEN = Metric(
    "envoy_cluster_circuit_breakers_default_rq_pending_open",
    Kind.GAUGE,
    "1 while a cluster's limit of waiting requests is reached.",
    Unit.TRUTH,
    labels=_OF_CLUSTER,
)
RETRIES_WON = Metric(
    "envoy_cluster_upstream_rq_retry_success",
    Kind.COUNTER,
    "Requests that a further try saved.",
    labels=_OF_CLUSTER,
    late=True,
)
RETRIES_HELD = Metric(
    "envoy_cluster_upstream_rq_retry_overflow",
    Kind.COUNTER,
    "Further tries that were not made.",
    labels=_OF_CLUSTER,
    meaning="More than 50 were under way already, and more than 20 % of all requests to that upstream.",
    late=True,
)
CONNECT_TIMEOUTS = Metric(
    "envoy_cluster_upstream_cx_connect_timeout",
    Kind.COUNTER,
    "Connections that were not made within `connect_timeout`.",
    labels=_OF_CLUSTER,
    late=True,
)
TIMEOUTS = Metric(
    "envoy_cluster_upstream_rq_timeout",
    Kind.COUNTER,
    "Requests ended by `timeout`.",
    labels=_OF_CLUSTER,
    late=True,
)
TRY_TIMEOUTS = Metric(
    "envoy_cluster_upstream_rq_per_try_timeout",
    Kind.COUNTER,
    "Tries ended by `per_try_timeout`.",
    labels=_OF_CLUSTER,
    late=True,
)
IDLE_TIMEOUTS = Metric(
    "envoy_http_downstream_rq_idle_timeout",
    Kind.COUNTER,
    "Streams ended because nothing moved for `idle_timeout`, by connection manager.",
    labels=_OF_MANAGER,
    late=True,
)
CONNECTIONS_FULL = Metric(
    "envoy_cluster_upstream_cx_overflow",
    Kind.COUNTER,
    "Times that a request found `max_connections` connections open, none of them free.",
    labels=_OF_CLUSTER,
    meaning="Such a request waits for one, if `max_pending` allows it.",
    late=True,
)
PENDING_FULL = Metric(
    "envoy_cluster_upstream_rq_pending_overflow",
    Kind.COUNTER,
    "Requests answered 503 because `max_pending` others waited.",
    labels=_OF_CLUSTER,
    late=True,
)
REQUESTS_FULL = Metric(
    "envoy_cluster_upstream_rq_active_overflow",
    Kind.COUNTER,
    "Requests answered 503 because `max_requests` others were under way.",
    labels=_OF_CLUSTER,
    late=True,
)
EJECTIONS = Metric(
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_5xx",
    Kind.COUNTER,
    "Instances ejected after 5xx answers in a row.",
    labels=_OF_CLUSTER,
    late=True,
)
GATEWAY_EJECTIONS = Metric(
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_gateway_failure",
    Kind.COUNTER,
    "Instances ejected after gateway failures in a row: 502, 503, 504, broken connections, timeouts.",
    labels=_OF_CLUSTER,
    late=True,
)
CHECKS = Metric(
    "envoy_cluster_health_check_attempt",
    Kind.COUNTER,
    "Active health checks of an upstream's instances, where `check_path` is set.",
    labels=_OF_CLUSTER,
    late=True,
)
CHECKS_FAILED = Metric(
    "envoy_cluster_health_check_failure",
    Kind.COUNTER,
    "Active health checks that failed.",
    labels=_OF_CLUSTER,
    late=True,
)
ALL_UNWELL = Metric(
    "envoy_cluster_lb_healthy_panic",
    Kind.COUNTER,
    "Requests sent to any instance because none counted as well.",
    labels=_OF_CLUSTER,
    meaning="All of them are ejected or fail their active checks, though they pass in Consul.",
    late=True,
)
ZONES = Metric(
    "envoy_cluster_zone_upstream_rq_completed",
    Kind.COUNTER,
    "Answers of a cluster by the zones of caller and instance, where both have one.",
    labels={**_OF_CLUSTER, "from_zone": ANY, "to_zone": ANY},
    late=True,
)
RING = Metric(
    "envoy_cluster_ring_hash_lb_size",
    Kind.GAUGE,
    "Places on the ring of an upstream whose `balance` is ring_hash.",
    labels=_OF_CLUSTER,
    late=True,
)
MEMORY = Metric(
    "envoy_server_memory_physical_size", Kind.GAUGE, "Estimate of Envoy's memory in bytes.", Unit.BYTES
)

ALL = (
    ANSWERS, TIME, UPSTREAM_ANSWERS, UPSTREAM_TIME, RETRIES, UNREACHED, HEALTHY, MEMBERS, EJECTED,
    CONNECTIONS_OPEN, REQUESTS_OPEN, PENDING_OPEN, RETRIES_WON, RETRIES_HELD, CONNECT_TIMEOUTS, TIMEOUTS, TRY_TIMEOUTS,
    IDLE_TIMEOUTS, CONNECTIONS_FULL, PENDING_FULL, REQUESTS_FULL, EJECTIONS, GATEWAY_EJECTIONS, CHECKS, CHECKS_FAILED,
    ALL_UNWELL, ZONES, RING, MEMORY,
)  # fmt: skip
