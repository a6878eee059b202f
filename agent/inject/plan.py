"""All that is decided about one pod before anything is added to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.config.sections.kubernetes import Kubernetes
from agent.config.settings import Settings
from agent.inject import annotations, parts, resources
from agent.inject import names as naming
from agent.inject.options import NAME_LABELS, PREFIX, Own
from agent.inject.serving import Serving
from agent.model.names import is_service
from agent.runtime.errors import Problem


@dataclass(frozen=True)
class Plan:
    """What one pod gets."""

    settings: Settings
    """The sidecar's, as far as they are known here; ``injector`` holds image and resources."""
    variables: Mapping[str, str]
    """What the annotations tell the sidecar."""
    own: Own
    names: naming.Names
    ports: naming.Ports
    port: int
    """The service's; 0: outbound only."""
    application: str
    """The container that serves, else the first."""
    resources: Mapping[str, Mapping[str, str]]
    """The sidecar's requests and limits."""

    @property
    def carries(self) -> bool:
        """Whether the applications get the hook."""
        return self.settings.tracing.carry

    @property
    def upstreams(self) -> Mapping[str, int]:
        """The explicit local ports by upstream."""
        return {name: one.port for name, one in self.settings.upstreams.items() if one.port > 0}


def plan(
    pod: Mapping[str, Any], read: annotations.Read, served: Serving, settings: Settings
) -> tuple[Plan, list[Problem]]:
    """The plan for ``pod``, whose form was checked; with problems it means nothing."""
    name, problems = _name(pod, read)
    taken = _taken(read, served)
    ours = naming.ports(pod, taken)
    changes = {
        "service.name": name,
        "service.port": served.port,
        "proxy.inbound": f"0.0.0.0:{ours.inbound}",
        "proxy.outbound": f"127.0.0.1:{ours.outbound}",
        "admin.listen": f"127.0.0.1:{ours.admin}",
        "admin.health": f"0.0.0.0:{ours.health}",
        "admin.metrics": f"0.0.0.0:{ours.metrics}",
    }
    if problems:
        changes.pop("service.name")
    shared = Kubernetes(cluster=settings.kubernetes.cluster, namespaces=settings.kubernetes.namespaces)
    effective, wrong = annotations.settled(
        read, Settings(injector=settings.injector, kubernetes=shared), changes
    )
    asked = effective.injector.resources
    found = Plan(
        effective, read.variables, read.own, naming.names(pod), ours, served.port, served.container,
        resources.fitted(asked, read.names, pod),
    )  # fmt: skip
    return found, [*problems, *wrong, *_free_ports(effective), *resources.problems(asked, read.names)]


def _name(pod: Mapping[str, Any], read: annotations.Read) -> tuple[str, list[Problem]]:
    given = read.given.get("service.name")
    if given is not None and given.value:
        return str(given.value), []
    for label in NAME_LABELS:
        if name := parts.labels(pod).get(label):
            if is_service(name):
                return name, []
            wrong = f"can't name the service: it is {name[:80]!r}"
            allowed = f"one DNS label of a to z, 0 to 9 and -, that means nothing else; or {PREFIX}service"
            return "", [Problem(label, wrong, allowed)]
    allowed = f"the service's name, or a label {' or '.join(NAME_LABELS)}"
    return "", [Problem(f"{PREFIX}service", "is missing", allowed)]


def _taken(read: annotations.Read, served: Serving) -> set[int]:
    upstreams = read.given.get("upstreams")
    found = {served.port}
    if upstreams is not None and isinstance(upstreams.value, dict):
        found |= {one.get("port", 0) for one in upstreams.value.values() if isinstance(one, dict)}
    return found


def _free_ports(settings: Settings) -> list[Problem]:
    return [
        Problem(
            f"{PREFIX}upstreams.{name}.port", "is 0, and nobody could tell the application", "a port above 0"
        )
        for name, one in settings.upstreams.items()
        if one.port == 0
    ]
