"""What the examination of a cluster reads, each right with its reason: chart and checks are compared with this."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Right:
    """Verbs on one resource, as a rule of RBAC holds them."""

    group: str
    """Empty: the core API."""
    resource: str
    verbs: tuple[str, ...]
    why: str
    named: tuple[str, ...] = ()
    """Endings that the injector's name gets to name the objects that it is limited to; empty: all."""

    @property
    def own(self) -> bool:
        """Only in the injector's namespace (a Role), not in the cluster (a ClusterRole)."""
        return bool(self.named)


ALL = (
    Right(
        "",
        "nodes",
        ("list",),
        "A node with an old kubelet runs a native sidecar as an init container that never ends.",
    ),
    Right("", "namespaces", ("list",), "Their labels say which of them asked for injection."),
    Right(
        "",
        "pods",
        ("list",),
        "Pods without the sidecar that they should have, and what keeps sidecars from being ready.",
    ),
    Right(
        "",
        "services",
        ("get", "list"),
        "Services that lead past Envoy; those of the webhook and of Consul, wherever that is.",
    ),
    Right("discovery.k8s.io", "endpointslices", ("list",), "Whether anybody answers behind those two."),
    Right("apps", "daemonsets", ("list",), "Whether each node has Consul's client, where sidecars need it."),
    Right(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        ("list",),
        "The injector's own, and whom it trusts.",
    ),
    Right("coordination.k8s.io", "leases", ("get",), "Whether a replica leads the sweep.", ("",)),
    Right("", "configmaps", ("get",), "What the injector tells the sidecars.", ("",)),
    Right(
        "",
        "secrets",
        ("get",),
        "Whether the CA that signs is the one that is trusted; only its certificates are compared.",
        ("-ca", "-tls"),
    ),
)
"""``GET /version`` is everyone's by the role ``system:public-info-viewer``."""


def rules(injector: str, *, own: bool) -> list[dict[str, list[str]]]:
    """The rules of a Role (``own``) or a ClusterRole; ``injector`` is the name of the webhook configuration."""
    return [
        {
            "apiGroups": [right.group],
            "resources": [right.resource],
            "verbs": list(right.verbs),
            **({"resourceNames": [f"{injector}{ending}" for ending in right.named]} if right.named else {}),
        }
        for right in ALL
        if right.own is own
    ]
