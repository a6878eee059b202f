"""The cluster's version, and its nodes': native sidecars are on from 1.29."""

import re
from collections.abc import Sequence

from agent.doctor.finding import Finding, absent, ok, problem
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object
from agent.model.marks import LEAST

_LEAST = ".".join(map(str, LEAST))


def parsed(said: str) -> tuple[int, int] | None:
    """Major and minor of a version such as ``v1.31.2-gke.5``."""
    match = re.match(r"v?(\d{1,4})\.(\d{1,4})(?!\d)", said)
    return (int(match[1]), int(match[2])) if match else None


def cluster(version: Object | None) -> list[Finding]:
    """``kubernetes.version``, from ``/version``."""
    subject, said = "the API server's version", objects.text(version, "gitVersion")
    found = parsed(said)
    if found is None:
        return [
            problem(
                "kubernetes.version",
                subject,
                f"it says {said or 'none'!r}",
                "Ask an API server of Kubernetes.",
            )
        ]
    if found < LEAST:
        todo = f"Upgrade the cluster to {_LEAST} or later: before it a service would start without its proxy."
        return [problem("kubernetes.version", subject, f"{said} has no native sidecars", todo)]
    return [ok("kubernetes.version", subject, said)]


def nodes(every: Sequence[Object]) -> list[Finding]:
    """``kubernetes.nodes``, from the nodes: a kubelet may be older than the API server."""
    subject = "native sidecars on the nodes"
    kubelets = {objects.name(one): objects.text(one, "status", "nodeInfo", "kubeletVersion") for one in every}
    if not kubelets:
        return [absent("kubernetes.nodes", subject, "no nodes are to be seen")]
    old = [f"{name} ({said})" for name, said in kubelets.items() if (parsed(said) or (0, 0)) < LEAST]
    if old:
        todo = f"Upgrade these nodes to {_LEAST} or later, or keep injected pods off them."
        found = f"kubelets before {_LEAST} on {objects.listed(old)}"
        return [problem("kubernetes.nodes", subject, found, todo)]
    return [
        ok("kubernetes.nodes", subject, f"{len(kubelets)} nodes, kubelet {min(kubelets.values())} and later")
    ]
