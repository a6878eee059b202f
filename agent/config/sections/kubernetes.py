"""Who this instance is in a Kubernetes cluster."""

from typing import Annotated

from agent.config.declare import Section, about
from agent.config.sections.service import LABEL

_LABEL = LABEL.replace("^", "^(").replace("$", ")?$")
_SUBDOMAIN = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$"


class Kubernetes(Section, frozen=True):
    """The agent's identity in Kubernetes, set by the injector; all empty anywhere else."""

    pod_uid: Annotated[
        str,
        about(
            "The pod's uid; it makes the instance's id, so that no two pods ever share one. Empty: not in a pod.",
            pattern=_LABEL,
            form="a pod's uid: a to z, 0 to 9 and -, at most 63",
        ),
    ] = ""
    pod: Annotated[
        str, about("The pod's name, for texts.", pattern=_SUBDOMAIN, form="a DNS name in lower case")
    ] = ""
    namespace: Annotated[
        str,
        about(
            "The pod's namespace; callers find the service also as NAME.NAMESPACE.svc, and this agent takes "
            "NAME.NAMESPACE for a service of its own namespace.",
            pattern=_LABEL,
            form="one DNS label: a to z, 0 to 9 and -, at most 63",
        ),
    ] = ""
    node: Annotated[
        str,
        about(
            "The Kubernetes node's name; `registry.mode: catalog` makes Consul's virtual node of it.",
            pattern=_SUBDOMAIN,
            form="a DNS name in lower case",
        ),
    ] = ""
    cluster: Annotated[
        str,
        about(
            "The cluster's name in Consul; clusters that share a Consul datacentre need different ones, because "
            "`registry.mode: catalog` removes what its cluster's pods left and must not take another's for it.",
            pattern=LABEL,
            form="one DNS label: a to z, 0 to 9 and -, at most 63",
        ),
    ] = "kubernetes"
    namespaces: Annotated[
        tuple[
            Annotated[str, about("Namespace.", pattern=LABEL, form="one DNS label")],
            ...,
        ],
        about(
            "Further namespaces of which NAME.NAMESPACE means a service. Only those named here: what Consul "
            "says is not trusted, and a service `example` in a namespace `com` would capture example.com."
        ),
    ] = ()
