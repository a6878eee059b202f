"""What the injector may do in the cluster, each right with its reason: charts and tests are checked against this."""

from dataclasses import dataclass

from agent.inject.cluster.kinds import CONFIGURATIONS, LEASES, NAMESPACES, PODS, SECRETS, Kind


@dataclass(frozen=True)
class Right:
    """Verbs on one resource, as a rule of RBAC holds them."""

    kind: Kind
    verbs: tuple[str, ...]
    why: str
    named: str = ""
    """The setting that names the one object that it is limited to; empty: all."""
    own: bool = False
    """Only in the injector's own namespace (a Role), not in the cluster (a ClusterRole)."""


ALWAYS = (
    Right(
        NAMESPACES,
        ("get", "list", "watch"),
        "Labels and annotations of a namespace say whether and how its pods are injected.",
    ),
)
"""Needed whatever the settings are. ``GET /version`` is everyone's by the role ``system:public-info-viewer``."""

CERTIFICATES = (
    Right(
        SECRETS,
        ("create",),
        "The first replica makes the CA's Secret. A new object has no name yet by which the right could be limited.",
        own=True,
    ),
    Right(
        SECRETS,
        ("list", "watch", "update"),
        "All replicas sign with the CA in this Secret and replace it at half its life.",
        named="webhook.secret",
        own=True,
    ),
    Right(
        CONFIGURATIONS,
        ("list", "watch", "patch"),
        "The CA is written into the injector's own webhook configuration, and again when somebody takes it out.",
        named="webhook.configuration",
    ),
)
"""Needed with ``webhook.certificate: made``."""

SWEEP = (
    Right(PODS, ("list",), "The uids of the living pods say which entries of the registry are left over."),
    Right(
        LEASES,
        ("create",),
        "The Lease by which one replica leads is made by the first one; see the Secret.",
        own=True,
    ),
    Right(
        LEASES,
        ("get", "update"),
        "One replica leads the sweep, and gives the Lease back when it stops.",
        named="webhook.lease",
        own=True,
    ),
)
"""Needed where one replica sweeps the registry."""

ALL = (*ALWAYS, *CERTIFICATES, *SWEEP)


def rules(rights: tuple[Right, ...], names: dict[str, str], *, own: bool) -> list[dict[str, list[str]]]:
    """The rules of a Role (``own``) or a ClusterRole; ``names``: the value of each setting that names an object."""
    return [
        {
            "apiGroups": [right.kind.group],
            "resources": [right.kind.plural],
            "verbs": list(right.verbs),
            **({"resourceNames": [names[right.named]]} if right.named else {}),
        }
        for right in rights
        if right.own is own
    ]
