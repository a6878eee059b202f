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
    meaning="Pillion gives Envoy the passing instances only, so 0 means that none passes or all are ejected.",
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
MEMORY = Metric(
    "envoy_server_memory_physical_size", Kind.GAUGE, "Estimate of Envoy's memory in bytes.", Unit.BYTES
)

ALL = (
    ANSWERS, TIME, UPSTREAM_ANSWERS, UPSTREAM_TIME, RETRIES, UNREACHED, HEALTHY, MEMBERS, EJECTED,
    CONNECTIONS_OPEN, REQUESTS_OPEN, PENDING_OPEN, MEMORY,
)  # fmt: skip
