"""A pod as the rules see it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object
from agent.model.marks import INBOUND, INJECT, INJECTED, SIDECAR

_SIDECAR = re.compile(rf"{SIDECAR}(-[0-9]+)?")
_HTTP = re.compile(r"(http|web|flask|gunicorn|wsgi)([0-9]*|-[a-z0-9-]*)|[a-z0-9-]*-http")
SERVED = "PILLION_SERVICE_PORT"
"""The sidecar's variable with the application's port."""
OWN_IMAGE = "pillion.dev/image"
"""Annotation that chooses the sidecar's image."""
_ENDED = frozenset({"Succeeded", "Failed"})
_OTHERS = frozenset({"istio-proxy", "linkerd-proxy", "consul-dataplane", "kuma-sidecar", "daprd"})
"""Sidecars of other meshes, beside which none of ours is put."""


@dataclass(frozen=True)
class Pod:
    """One pod."""

    whole: Object

    @property
    def title(self) -> str:
        """As in ``shop/orders-1``."""
        return objects.full(self.whole)

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return objects.text(self.whole, "status", "phase") in _ENDED

    @property
    def leaving(self) -> bool:
        """Whether it was told to end."""
        return bool(objects.part(self.whole, "metadata", "deletionTimestamp"))

    @property
    def wish(self) -> str:
        """What it says of injection itself: ``true``, ``false``, or nothing."""
        said = {objects.labels(self.whole).get(INJECT), objects.annotations(self.whole).get(INJECT)}
        if "false" in said:
            return "false"
        return "true" if objects.labels(self.whole).get(INJECT) == "true" else ""

    @property
    def only_annotated(self) -> bool:
        """Whether it asks by an annotation, which nobody hears."""
        return not self.wish and objects.annotations(self.whole).get(INJECT) == "true"

    @property
    def injected(self) -> bool:
        """Whether it has the sidecar, by the mark that injection leaves."""
        return INJECTED in objects.annotations(self.whole)

    @property
    def native(self) -> Object | None:
        """The sidecar where it belongs: an init container that goes on running."""
        for one in objects.rows(self.whole, "spec", "initContainers"):
            if _SIDECAR.fullmatch(objects.text(one, "name")) and one.get("restartPolicy") == "Always":
                return one
        return None

    @property
    def applications(self) -> list[Object]:
        """The ordinary containers."""
        return objects.rows(self.whole, "spec", "containers")

    @property
    def spared(self) -> bool:
        """Whether injection leaves it alone for what it is."""
        spec = objects.mapping(self.whole, "spec")
        every = (*self.applications, *objects.rows(spec, "initContainers"))
        return (
            bool(spec.get("hostNetwork"))
            or "kubernetes.io/config.mirror" in objects.annotations(self.whole)
            or any(objects.text(one, "name") in _OTHERS for one in every)
        )

    @property
    def speaks_http(self) -> bool:
        """Whether it names a port that injection takes for the service's, or may: one by its name, or without."""
        if f"{INJECT.partition('/')[0]}/port" in objects.annotations(self.whole):
            return True
        names = [
            objects.text(port, "name") for _, port in self.ports() if port.get("protocol") in (None, "TCP")
        ]
        return any(not one or _HTTP.fullmatch(one) for one in names)

    @property
    def owner(self) -> str:
        """The kind of what made it, such as ``Job``."""
        return next(
            (objects.text(one, "kind") for one in objects.rows(self.whole, "metadata", "ownerReferences")), ""
        )

    @property
    def node(self) -> str:
        """Where it runs, empty before that is decided."""
        return objects.text(self.whole, "spec", "nodeName")

    @property
    def ready(self) -> bool:
        """Whether all of it is ready."""
        return any(
            one.get("type") == "Ready" and one.get("status") == "True"
            for one in objects.rows(self.whole, "status", "conditions")
        )

    @property
    def served(self) -> int:
        """The application's port behind the sidecar, 0 when there is none."""
        given = objects.rows(self.native, "env") if self.native else []
        text = next((objects.text(one, "value") for one in given if one.get("name") == SERVED), "")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def own_image(self) -> bool:
        """Whether it says itself which image its sidecar has."""
        return OWN_IMAGE in objects.annotations(self.whole)

    @property
    def inbound(self) -> int:
        """The port of the sidecar that callers are to reach, 0 when it has none."""
        sidecar = self.native
        ports = objects.rows(sidecar, "ports") if sidecar else []
        return next((objects.number(one, "containerPort") for one in ports if one.get("name") == INBOUND), 0)

    def ports(self) -> Iterator[tuple[Object, Object]]:
        """Each port of the applications with its container."""
        for container in self.applications:
            for port in objects.rows(container, "ports"):
                yield container, port

    def port(self, wanted: object) -> int:
        """What a Service's ``targetPort`` means in this pod, 0 when nothing."""
        if type(wanted) is int:
            return wanted
        sidecar = self.native
        every = [
            *self.ports(),
            *(((sidecar, one) for one in objects.rows(sidecar, "ports")) if sidecar else ()),
        ]
        return next(
            (objects.number(one, "containerPort") for _, one in every if one.get("name") == wanted), 0
        )

    def status(self) -> Object:
        """What the kubelet says of the sidecar."""
        named = objects.text(self.native, "name") if self.native else ""
        found = objects.rows(self.whole, "status", "initContainerStatuses")
        return next((one for one in found if one.get("name") == named), {})


def selected(selector: Mapping[str, object], pod: Pod) -> bool:
    """Whether a Service's selector chooses the pod; an empty one chooses none."""
    labels = objects.labels(pod.whole)
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())
