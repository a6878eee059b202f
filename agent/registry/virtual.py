"""Consul's virtual nodes: one for each Kubernetes node on which an instance is, marked as ours. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.config.sections.kubernetes import Kubernetes

KIND = "pillion-node"
"""Meta of a node that Pillion made; its value is ``virtual``."""
CLUSTER = "pillion-cluster"
"""Meta: whose pods are on it."""


def node(identity: Kubernetes) -> str:
    """The node's name: no client agent of Consul's, which is often called like the Kubernetes node, has it."""
    return f"pillion-{identity.cluster}-{identity.node}"


def meta(identity: Kubernetes) -> dict[str, str]:
    """What marks the node."""
    return {KIND: "virtual", CLUSTER: identity.cluster}


def is_ours(row: Mapping[str, Any], cluster: str) -> bool:
    """Whether a node of Consul's is one that Pillion made for the cluster."""
    found = row.get("Meta")
    return isinstance(found, dict) and found.get(KIND) == "virtual" and found.get(CLUSTER) == cluster


def expression(cluster: str) -> str:
    """Consul's filter for these nodes; ``cluster`` is one DNS label."""
    return f'Meta["{KIND}"] == "virtual" and Meta["{CLUSTER}"] == "{cluster}"'
