"""What is installed once for all tests: the three charts in namespaces of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.commands import CommandError
from tests.kubernetes.helm import Helm
from tests.kubernetes.images import ROOT
from tests.kubernetes.kube import Kube

SERVERS, SYSTEM, SHOP = "pillion-test-servers", "pillion-test-system", "pillion-test-shop"
NAMESPACES = (SERVERS, SYSTEM, SHOP)
PILLION, INFRA = "pillion", "infra"
"""The releases of the charts of these names."""
SERVICES = {"inventory": 2, "orders": 2, "storefront": 1}
"""By name in the mesh, the number of instances; of orders one for each version of its API."""
RELEASES = {"inventory": 2, "orders-v2": 1, "orders-v1": 1, "storefront": 1}
"""By release, the number of pods; their values are the documents' own."""
INBOUND = 15006
MARK = {"app.kubernetes.io/managed-by": "pillion-tests"}
"""Label of the namespaces that the tests made."""

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class Images:
    """The tags of the images, by name."""

    tags: Mapping[str, str]

    def of(self, name: str) -> dict[str, str]:
        """An image as the charts' values name it."""
        return {"repository": name, "tag": self.tags[name]}

    def full(self, name: str) -> str:
        """An image as a container names it."""
        return f"{name}:{self.tags[name]}"

    def infrastructure(self) -> dict[str, Any]:
        """Values of the chart `infrastructure`."""
        return {
            "image": self.of("pillion"),
            "consumerNamespaces": [SHOP],
            "consul": {"image": self.of("hashicorp/consul")},
            "jaeger": {"image": self.of("jaegertracing/jaeger")},
            "nats": {"image": self.of("nats")},
            "postgres": {"image": self.of("postgres")},
        }

    def pillion(self, **more: Any) -> dict[str, Any]:
        """Values of the chart `pillion`."""
        return {
            "image": self.of("pillion"),
            "tracing": {"endpoint": f"http://{INFRA}-jaeger.{SERVERS}.svc:4318", "sample": 1},
            **more,
        }

    def service(self, release: str, **more: Any) -> dict[str, Any]:
        """Values of the chart `service` for one release of the shop: the documents', with the images built here."""
        documented = yaml.safe_load((ROOT / "docs/kubernetes/shop" / f"{release}.yaml").read_text())
        return {
            **documented,
            "image": self.of(documented["image"]["repository"]),
            "toolsImage": self.of("pillion"),
            "replicas": RELEASES[release],
            **more,
        }


def make_namespaces(kube: Kube) -> None:
    """Make the namespaces. Raises CommandError when one is there that the tests did not make."""
    for name in NAMESPACES:
        found = kube.get("namespace", name)
        if found and not MARK.items() <= (found["metadata"].get("labels") or {}).items():
            raise CommandError(
                f"there is a namespace {name} that these tests did not make: they would remove it"
            )
    labels = {SHOP: {"pillion.dev/inject": "enabled", **RESTRICTED}, SYSTEM: RESTRICTED}
    kube.apply(*(namespace(name, labels.get(name, {})) for name in NAMESPACES))


def namespace(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A namespace that the tests may remove."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**MARK, **labels}}}


def install(helm: Helm, images: Images) -> None:
    """Install everything, in the order that a user would."""
    helm.install(INFRA, "infrastructure", SERVERS, images.infrastructure())
    helm.install(PILLION, "pillion", SYSTEM, images.pillion())
    for release in RELEASES:
        helm.install(release, "service", SHOP, images.service(release))


def remove(kube: Kube, helm: Helm) -> None:
    """Take out everything that the tests may have made, in namespaces and outside of them."""
    selector = ",".join(f"{key}={value}" for key, value in MARK.items())
    for one in kube.every("namespaces", selector=selector):
        name = one["metadata"]["name"]
        for release in helm("list", "--short", "--all", f"--namespace={name}").split():
            helm.uninstall(release, name)
        kube.delete("namespace", name, "", "--wait=false")
    kube("wait", "--for=delete", "namespace", f"--selector={selector}", "--timeout=180s", within=200)
