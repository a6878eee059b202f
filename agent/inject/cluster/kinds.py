"""The resources of the Kubernetes API that are asked for here, and their paths."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Kind:
    """One resource type. ``group`` is empty for the core API."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, name: str = "", namespace: str = "") -> str:
        """The path of one object, or without a name of the collection; without a namespace that of all."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        parts += ["namespaces", namespace] if self.namespaced and namespace else []
        parts += [self.plural, name] if name else [self.plural]
        return "/" + "/".join(quote(part, safe="") for part in parts)


NAMESPACES = Kind("", "v1", "namespaces", namespaced=False)
PODS = Kind("", "v1", "pods")
SECRETS = Kind("", "v1", "secrets")
LEASES = Kind("coordination.k8s.io", "v1", "leases")
CONFIGURATIONS = Kind("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", namespaced=False)
