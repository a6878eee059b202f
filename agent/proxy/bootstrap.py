"""Envoy's bootstrap: the fragment ``bootstrap.yaml`` and what differs from agent to agent."""

import copy
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.model.address import Address
from agent.proxy.snapshot import Resource

OTLP_CLUSTER = "otlp"
"""The cluster to which Envoy's tracer sends spans; there only where a tracing endpoint is set."""
XDS_CLUSTER = "xds"
"""The cluster that leads to the agent's unix socket."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Authorities trusted for an https endpoint: the system's, as Debian and its children keep them."""
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_HEAP = "envoy.resource_monitors.fixed_heap"


@dataclass(frozen=True)
class Node:
    """How an Envoy names itself."""

    id: str
    cluster: str
    zone: str = ""


def bootstrap(
    fragment: Resource,
    *,
    node: Node,
    admin: Path | Address,
    xds: Path,
    otlp: str = "",
    heap_limit: int = 0,
    shared: bool = False,
) -> Resource:
    """The whole bootstrap in Envoy's JSON form.

    ``admin`` is a unix socket, ``shared`` with the group of its folder, or an address; ``xds`` is a unix socket.
    ``otlp`` is the OTLP/HTTP endpoint as URL, empty for none;
    ``heap_limit`` is in bytes, 0 for none. Raises ValueError for an endpoint that is no http or https URL
    with a host.
    """
    filled = copy.deepcopy(fragment)
    filled["node"] = {"id": node.id, "cluster": node.cluster}
    if node.zone:
        filled["node"]["locality"] = {"zone": node.zone}
    _admin(filled["admin"], admin, shared)
    clusters = filled["static_resources"]["clusters"]
    for cluster in clusters:
        if cluster["name"] == XDS_CLUSTER:
            cluster["load_assignment"] = _assignment(XDS_CLUSTER, {"pipe": {"path": str(xds)}})
    if otlp:
        clusters.append(otlp_cluster(otlp))
    _limit_heap(filled.get("overload_manager", {}), heap_limit)
    return filled


def _admin(section: Resource, where: Path | Address, shared: bool) -> None:
    if isinstance(where, Address):
        section["address"] = {"socket_address": {"address": where.host, "port_value": where.port}}
        return
    section["address"]["pipe"]["path"] = str(where)
    if shared:
        section["address"]["pipe"]["mode"] = 0o660


def otlp_cluster(endpoint: str) -> Resource:
    """The cluster of an OTLP/HTTP endpoint; ValueError for what is no http or https URL with a host."""
    return web_cluster(OTLP_CLUSTER, endpoint)


def web_cluster(name: str, endpoint: str) -> Resource:
    """A cluster that leads to the host of a URL; ValueError for what is no http or https URL with a host."""
    url = urlsplit(endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(f"{endpoint!r} is not an http or https URL with a host")
    port = url.port or (443 if url.scheme == "https" else 80)
    address = {"socket_address": {"address": url.hostname, "port_value": port}}
    cluster: Resource = {
        "name": name,
        "type": "STATIC" if _is_ip(url.hostname) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": _assignment(name, address),
    }
    if cluster["type"] == "STRICT_DNS":
        # A name that no server knows, or tells late, must hold up neither Envoy's start nor a change.
        cluster["wait_for_warm_on_init"] = False
    if url.scheme == "https":
        cluster["transport_socket"] = _tls(url.hostname)
    return cluster


def _tls(host: str) -> Resource:
    is_ip = _is_ip(host)
    san = {"san_type": "IP_ADDRESS" if is_ip else "DNS", "matcher": {"exact": host}}
    validation = {"trusted_ca": {"filename": str(CERTIFICATES)}, "match_typed_subject_alt_names": [san]}
    context: Resource = {"@type": _TLS, "common_tls_context": {"validation_context": validation}}
    if not is_ip:
        context["sni"] = host
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _assignment(name: str, address: Resource) -> Resource:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _limit_heap(manager: Resource, limit: int) -> None:
    """Set the limit, or remove the monitor and all that it triggers."""
    monitors = manager.get("resource_monitors", [])
    for monitor in monitors:
        if monitor["name"] == _HEAP and limit:
            monitor["typed_config"]["max_heap_size_bytes"] = limit
    if not limit:
        manager["resource_monitors"] = [one for one in monitors if one["name"] != _HEAP]
        manager["actions"] = [
            action
            for action in manager.get("actions", [])
            if all(trigger["name"] != _HEAP for trigger in action["triggers"])
        ]


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
