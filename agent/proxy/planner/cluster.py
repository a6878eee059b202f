"""Upstream clusters: balancing, circuit breaking, outlier detection, subsets by version."""

from agent.config.sections.traffic import Traffic
from agent.proxy.planner import checking
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.endpoints import UNNAMED, VERSIONS
from agent.proxy.planner.fragments import Fragments
from agent.proxy.planner.memo import Memo
from agent.proxy.planner.targets import Target
from agent.proxy.snapshot import Resource

_SWEEPS = (0.1, 5.0)
"""Seconds between two looks at who has rested long enough: the shortest and the longest."""
_LONGEST_REST = 300.0
_BALANCE = {"least_request": "LEAST_REQUEST", "round_robin": "ROUND_ROBIN", "ring_hash": "RING_HASH"}


def upstream_cluster(target: Target, traffic: Traffic, fragments: Fragments, memo: Memo) -> Resource:
    """The cluster of one upstream service; its endpoints come apart.

    What most have in common they share: a thousand of them would otherwise take 3 MB more.
    """
    common = memo.once(("cluster", traffic), lambda: _common(traffic, fragments))
    cluster: Resource = {**common, "name": target.cluster}
    if "health_checks" in common:
        cluster["health_checks"] = [checking.of(one, target) for one in common["health_checks"]]
    if target.table is not None:
        cluster["lb_subset_config"] = _SUBSETS
    return cluster


def _common(traffic: Traffic, fragments: Fragments) -> Resource:
    cluster: Resource = fragments.copy("upstream_cluster")
    cluster["connect_timeout"] = seconds(traffic.connect_timeout)
    cluster["lb_policy"] = _BALANCE[traffic.balance]
    thresholds = cluster["circuit_breakers"]["thresholds"][0]
    thresholds["max_connections"] = traffic.max_connections
    thresholds["max_pending_requests"] = traffic.max_pending
    thresholds["max_requests"] = traffic.max_requests
    _eject(cluster, traffic)
    checking.ask(cluster, traffic, fragments)
    return cluster


_SUBSETS: Resource = {
    # Instances change a moment before the routes that name versions do. A request for one whose last instance
    # has just left goes to any other, whose own sidecar knows what it serves: better than to nobody.
    "fallback_policy": "ANY_ENDPOINT",
    "subset_selectors": [{"keys": [VERSIONS]}, {"keys": [UNNAMED]}],
    "list_as_any": True,  # an instance serves several versions
}


def _eject(cluster: Resource, traffic: Traffic) -> None:
    if traffic.ejection_failures <= 0:
        del cluster["outlier_detection"]
        return
    detection = cluster["outlier_detection"]
    detection["consecutive_5xx"] = traffic.ejection_failures
    detection["consecutive_gateway_failure"] = traffic.ejection_failures
    if traffic.ejection_on == "gateway":
        detection["enforcing_consecutive_5xx"] = 0
    shortest, longest = _SWEEPS
    detection["interval"] = seconds(max(shortest, min(longest, traffic.ejection_time)))
    detection["base_ejection_time"] = seconds(traffic.ejection_time)
    detection["max_ejection_time"] = seconds(max(traffic.ejection_time, _LONGEST_REST))
