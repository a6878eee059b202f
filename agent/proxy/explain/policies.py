"""What a route and its cluster say of timeouts, retries, limits and headers, in few words."""

from collections.abc import Iterable, Mapping
from typing import Any

from agent.proxy.snapshot import Resource

_BALANCE = {
    "LEAST_REQUEST": "least request",
    "ROUND_ROBIN": "round robin",
    "RING_HASH": "ring hash",
    "CLUSTER_PROVIDED": "by DNS, at the time of the request",
}
_REACHED = {"reset", "gateway-error", "5xx", "retriable-status-codes"}
"""Conditions of a retry that hold for requests that reached an instance."""


def policies(route: Resource, scopes: Iterable[Resource], cluster: Resource, method: str) -> dict[str, Any]:
    """All that holds for requests of this route. ``scopes`` are what the route stands in, the nearest first."""
    action = route["route"]
    around = [route, *scopes]
    found: dict[str, Any] = {
        "timeouts": _timeouts(action, cluster),
        "retries": _retries(action.get("retry_policy"), cluster, method),
        "balance": _balance(action, cluster),
        "circuit_breaker": _breaker(cluster),
        "ejection": _ejection(cluster),
        "health_checks": [_health_check(one) for one in cluster.get("health_checks", ())],
        "request_headers": _headers(around, "request_headers_to_add"),
        "request_headers_removed": _removed(around, "request_headers_to_remove"),
        "response_headers": _headers(around, "response_headers_to_add"),
        "response_headers_removed": _removed(around, "response_headers_to_remove"),
    }
    filters = sorted({name for one in around for name in one.get("typed_per_filter_config", {})})
    if filters:
        found["filters"] = filters
    return {name: value for name, value in found.items() if value}


def _timeouts(action: Mapping[str, Any], cluster: Resource) -> dict[str, str]:
    found = {
        "connect": cluster.get("connect_timeout", "5s"),
        "request": action.get("timeout", "15s"),
        "per_try": action.get("retry_policy", {}).get("per_try_timeout", "0s"),
        "idle": action.get("idle_timeout", ""),
    }
    return {name: "none" if value == "0s" else value for name, value in found.items() if value}


def _retries(policy: Resource | None, cluster: Resource, method: str) -> dict[str, Any]:
    if not policy:
        return {"tries": 0, "words": "no further try"}
    conditions = policy["retry_on"].split(",")
    again = bool(_REACHED & set(conditions))
    words = (
        f"{method} may be repeated, also when it reached an instance"
        if again
        else f"{method} is repeated only when it can't have reached an instance"
    )
    found = {"tries": policy.get("num_retries", 1), "words": words, "repeatable": again, "on": conditions}
    if policy.get("retry_host_predicate"):
        found["elsewhere"] = True
    budget = _threshold(cluster).get("retry_budget")
    if budget:
        share = budget.get("budget_percent", {}).get("value", 20)
        found["budget"] = (
            f"{share:g} % of the requests in flight, or {budget.get('min_retry_concurrency', 3)}"
        )
    return found


def _threshold(cluster: Resource) -> Resource:
    thresholds = cluster.get("circuit_breakers", {}).get("thresholds", [])
    return dict(thresholds[0]) if thresholds else {}


def _breaker(cluster: Resource) -> dict[str, int]:
    threshold = _threshold(cluster)
    names = {"connections": "max_connections", "pending": "max_pending_requests", "requests": "max_requests"}
    return {name: threshold[key] for name, key in names.items() if key in threshold}


def _ejection(cluster: Resource) -> dict[str, Any]:
    detection = cluster.get("outlier_detection")
    if not detection:
        return {}
    return {
        "failures": detection.get("consecutive_5xx", 5),
        "rest": detection.get("base_ejection_time", "30s"),
        "most_percent": detection.get("max_ejection_percent", 10),
    }


def _health_check(check: Resource) -> dict[str, Any]:
    path = check.get("http_health_check", {}).get("path", "")
    return {"path": path, "interval": check.get("interval", ""), "timeout": check.get("timeout", "")}


def _balance(action: Resource, cluster: Resource) -> str:
    words = _BALANCE.get(cluster.get("lb_policy", ""), str(cluster.get("lb_policy", "round robin")).lower())
    hashed = [one["header"]["header_name"] for one in action.get("hash_policy", ()) if "header" in one]
    return f"{words} by {', '.join(hashed)}" if hashed else words


def _headers(around: Iterable[Resource], key: str) -> list[str]:
    return [
        f"{one['header']['key']}: {one['header'].get('value', '').replace('%%', '%')}"
        for scope in around
        for one in scope.get(key, ())
    ]


def _removed(around: Iterable[Resource], key: str) -> list[str]:
    return [name for scope in around for name in scope.get(key, ())]
