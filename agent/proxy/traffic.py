"""Asking Envoy what it has seen of each upstream: instances, circuit breaker, retries, durations.

Source: Envoy's manual, administration interface (``/clusters?format=json``, ``/stats``) and cluster statistics.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from agent.model.traffic import Buckets, Host, Traffic
from agent.proxy.admin import EnvoyAdmin

CLUSTER = re.compile(r"upstream_([a-z0-9-]+)(?:_.*)?")
"""As ``planner.targets`` names them; the clusters of one service are told together."""

_COUNTED = {
    "upstream_rq_total": "requests",
    "upstream_rq_5xx": "failed",
    "upstream_rq_retry": "retries",
    "upstream_rq_retry_success": "saved",
    "upstream_rq_pending_overflow": "turned_away",
    "upstream_rq_active_overflow": "turned_away",
}
_LIMITS = {"cx_open": "connections", "rq_open": "requests", "rq_pending_open": "waiting"}
_PREFIX = r"^cluster\.upstream_[^.]+\."
_PATTERN = rf"{_PREFIX}(circuit_breakers\.default\.({'|'.join(_LIMITS)})|{'|'.join(_COUNTED)})$"
_NAME = re.compile(r"cluster\.([^.]+)\.(?:circuit_breakers\.default\.)?([a-z0-9_]+)")
_TIMES = r"^(cluster\.(upstream_[^.]+|service_reuse|service_once)\.upstream_rq_time|http\.gateway\.downstream_rq_time)$"
_UNWELL = {
    "failed_outlier_check": "left out: it kept failing",
    "failed_active_health_check": "fails its checks",
    "failed_active_degraded_check": "degraded by its checks",
    "excluded_via_immediate_hc_fail": "asked to be left out",
    "pending_dynamic_removal": "is leaving",
    "pending_active_hc": "not checked yet",
}


async def traffic(admin: EnvoyAdmin) -> Mapping[str, Traffic]:
    """By service. Raises Transient when Envoy does not answer."""
    return told(await admin.clusters(), await admin.counters(_PATTERN))


async def calls(admin: EnvoyAdmin) -> Mapping[str, Traffic]:
    """The same without the instances, which is less work."""
    return told({}, await admin.counters(_PATTERN))


async def durations(admin: EnvoyAdmin) -> Mapping[str, Buckets]:
    """How long requests took: histograms by ``calls to NAME``, ``the service``, ``the gateway's answers``.

    Raises Transient.
    """
    found: dict[str, Counter[float]] = defaultdict(Counter)
    for name, buckets in (await admin.histograms(_TIMES)).items():
        found[_operation(name)].update({bound / 1000: count for bound, count in buckets.items()})
    return found


def told(clusters: Mapping[str, Any], counters: Mapping[str, int]) -> dict[str, Traffic]:
    """Envoy's two answers by service. Pure."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    full: dict[str, set[str]] = defaultdict(set)
    for name, value in counters.items():
        parts = _NAME.fullmatch(name)
        service = _service(parts[1]) if parts else ""
        if parts is None or not service:
            continue
        if parts[2] in _LIMITS:
            if value:
                full[service].add(_LIMITS[parts[2]])
        elif parts[2] in _COUNTED:
            counts[service][_COUNTED[parts[2]]] += value
    hosts: dict[str, list[Host]] = defaultdict(list)
    for service, host in _hosts(clusters):
        hosts[service].append(host)
    return {
        service: Traffic(
            tuple(hosts[service]),
            full=tuple(sorted(full[service])),
            **{key: counts[service][key] for key in _KEYS},
        )
        for service in sorted({*counts, *hosts, *full})
    }


_KEYS = tuple(dict.fromkeys(_COUNTED.values()))


def _hosts(clusters: Mapping[str, Any]) -> Iterator[tuple[str, Host]]:
    seen = set()
    for cluster in clusters.get("cluster_statuses", ()):
        service = _service(str(cluster.get("name", "")))
        for row in cluster.get("host_statuses", ()) if service else ():
            where = row.get("address", {}).get("socket_address", {})
            address = _address(str(where.get("address", "")), where.get("port_value", 0))
            if (service, address) not in seen:
                seen.add((service, address))
                yield service, _host(address, row)


def _host(address: str, row: Mapping[str, Any]) -> Host:
    health = row.get("health_status", {})
    unwell = [words for key, words in _UNWELL.items() if health.get(key)]
    if health.get("eds_health_status") not in {None, "HEALTHY", "UNKNOWN"}:
        unwell.append("told unwell by the registry")
    stats = {str(one.get("name")): int(one.get("value", 0)) for one in row.get("stats", ())}
    counts = (stats.get(name, 0) for name in ("rq_total", "rq_error", "rq_active"))
    return Host(address, tuple(unwell), *counts)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _service(cluster: str) -> str:
    found = CLUSTER.fullmatch(cluster)
    return found[1] if found else ""


def _operation(name: str) -> str:
    part = name.split(".")[1]
    if part == "gateway":
        return "answers of the gateway"
    service = _service(part)
    return f"calls to {service}" if service else "the service"
