"""A snapshot as one bootstrap file without any dynamic resource, for `pillion envoy render|validate` and
tests."""

import copy
from collections.abc import Sequence

from agent.proxy.planner.fragments import connection_manager
from agent.proxy.snapshot import Resource, Snapshot


def static_bootstrap(snapshot: Snapshot, bootstrap: Resource, secrets: Sequence[Resource] = ()) -> Resource:
    """``bootstrap`` with the snapshot as static resources and without ADS.

    ``secrets`` are those that listeners name, such as ``tls.in_files`` makes them. Endpoints are put into their
    clusters and routes into their listeners, because Envoy's ``--mode
    validate`` opens no dynamic resource.
    """
    whole = copy.deepcopy(bootstrap)
    whole.pop("dynamic_resources", None)
    resources = whole.setdefault("static_resources", {})
    others = [one for one in resources.get("clusters", []) if one["name"] != "xds"]
    resources["clusters"] = [
        *others,
        *(_cluster(name, one, snapshot) for name, one in snapshot.clusters.items()),
    ]
    resources["listeners"] = [_listener(one, snapshot) for one in snapshot.listeners.values()]
    if secrets:
        resources["secrets"] = list(secrets)
    return whole


def _cluster(name: str, cluster: Resource, snapshot: Snapshot) -> Resource:
    if cluster.get("type") != "EDS":
        return cluster
    static = {key: value for key, value in cluster.items() if key != "eds_cluster_config"}
    return {**static, "type": "STATIC", "load_assignment": snapshot.endpoints[name]}


def _listener(listener: Resource, snapshot: Snapshot) -> Resource:
    static = copy.deepcopy(listener)
    if "filter_chains" not in static:  # DNS has no requests to route
        return static
    manager = connection_manager(static, listener["name"])
    # Clusters are checked anyway when all is static.
    manager["route_config"] = snapshot.routes[manager.pop("rds")["route_config_name"]]
    for chain in static["filter_chains"]:
        _named_secrets(
            chain.get("transport_socket", {}).get("typed_config", {}).get("common_tls_context", {})
        )
    return static


def _named_secrets(context: Resource) -> None:
    """Let a TLS context find its secrets among the static ones, by name."""
    trusted = context.get("validation_context_sds_secret_config")
    for secret in [*context.get("tls_certificate_sds_secret_configs", []), *([trusted] if trusted else [])]:
        secret.pop("sds_config", None)
