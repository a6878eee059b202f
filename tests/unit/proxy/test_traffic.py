"""Envoy's answers become what a person asks: which instances, how well, what was repeated."""

from agent.model.traffic import Host, Traffic
from agent.proxy.traffic import told


def host(address: str, port: int, health: dict[str, object], **stats: int) -> dict[str, object]:
    """A row of ``/clusters?format=json``; Envoy leaves zeros out and writes numbers as texts."""
    rows = [{"name": name, "value": str(value)} for name, value in stats.items()]
    where = {"socket_address": {"address": address, "port_value": port}}
    return {"address": where, "stats": [*rows, {"name": "rq_active"}], "health_status": health}


def test_the_clusters_of_a_service_are_one_upstream_with_its_counts_and_instances() -> None:
    clusters = {
        "cluster_statuses": [
            {"name": "upstream_orders", "host_statuses": [
                host("10.0.0.1", 80, {"eds_health_status": "HEALTHY"}, rq_total=7, rq_error=2),
                host("::1", 80, {"failed_outlier_check": True, "eds_health_status": "HEALTHY"}),
            ]},
            {"name": "upstream_orders_v1", "host_statuses": [host("10.0.0.1", 80, {"eds_health_status": "HEALTHY"})]},
            {"name": "service_reuse", "host_statuses": [host("127.0.0.1", 80, {})]},
            {"name": "xds", "host_statuses": [{"address": {"pipe": {"path": "/x"}}}]},
        ]
    }  # fmt: skip
    counters = {
        "cluster.upstream_orders.upstream_rq_total": 7,
        "cluster.upstream_orders_v1.upstream_rq_total": 3,
        "cluster.upstream_orders.upstream_rq_5xx": 2,
        "cluster.upstream_orders.upstream_rq_retry": 1,
        "cluster.upstream_orders.upstream_rq_pending_overflow": 4,
        "cluster.upstream_orders.upstream_rq_active_overflow": 5,
        "cluster.upstream_orders.circuit_breakers.default.rq_open": 1,
        "cluster.upstream_orders.circuit_breakers.default.cx_open": 0,
        "cluster.xds.upstream_rq_total": 9,
    }
    found = told(clusters, counters)
    hosts = (Host("10.0.0.1:80", (), 7, 2), Host("[::1]:80", ("left out: it kept failing",)))
    assert found == {"orders": Traffic(hosts, 10, 2, 1, 0, ("requests",), 9)}
    assert found["orders"].ejected == 1


def test_without_an_answer_there_is_nothing() -> None:
    assert told({}, {}) == {}
