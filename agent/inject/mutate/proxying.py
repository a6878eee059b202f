"""The variables that lead an application's own requests to the sidecar."""

from collections.abc import Callable, Iterator
from typing import Any

from agent.inject import parts
from agent.inject.mutate.marker import Container, listed
from agent.inject.options import PREFIX
from agent.inject.plan import Plan
from agent.model.direct import LOCAL, METADATA

KUBERNETES = (
    "$(KUBERNETES_SERVICE_HOST)",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
"""The API server, whose clients speak TLS of their own. Not .svc as a whole: NAME.NS.svc is a service of the mesh."""


def proxied(container: dict[str, Any], plan: Plan, added: Container) -> tuple[dict[str, Any], list[str]]:
    """The container with the variables that it does not set itself, and what to warn of."""
    env = listed(container, "env", added)

    def give(name: str, **value: Any) -> None:
        if parts.variable(container, name) is None:
            env.append({"name": name, **value})
            added.env.append(name)

    warnings = _lead(container, plan, give) if plan.own.proxy else []
    if plan.carries:
        ports = sorted({*plan.upstreams.values(), plan.ports.outbound})
        give("PILLION_CARRY_PORTS", value=",".join(map(str, ports)))
    for upstream, port in sorted(plan.upstreams.items()):
        give(f"PILLION_UPSTREAM_{upstream.upper().replace('-', '_')}", value=f"http://127.0.0.1:{port}")
    return ({**container, "env": env} if added.env else container), warnings


def _lead(container: dict[str, Any], plan: Plan, give: Callable[..., None]) -> list[str]:
    """Give the variables that lead every request to the sidecar; what to warn of."""
    warnings, given = [], []
    pod_ip = _pod_ip(container)
    give(pod_ip, valueFrom={"fieldRef": {"fieldPath": "status.podIP"}})
    for name, value in _pairs(plan, pod_ip):
        both = (name, name.lower())
        if theirs := [one for one in both if parts.variable(container, one) is not None]:
            # The other case beside theirs would win over it in some clients.
            warnings.append(_kept(container["name"], theirs[0], name))
            continue
        given.append(name)
        for one in both:
            give(one, value=value)
    if given and container.get("envFrom"):
        warnings.append(_unseen(container["name"], given))
    return warnings


def _pod_ip(container: dict[str, Any]) -> str:
    theirs = parts.variable(container, "POD_IP")
    if theirs is None or theirs.get("valueFrom") == {"fieldRef": {"fieldPath": "status.podIP"}}:
        return "POD_IP"
    if theirs.get("valueFrom") == {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}:
        return "POD_IP"
    return "PILLION_POD_IP"


def _pairs(plan: Plan, pod_ip: str) -> Iterator[tuple[str, str]]:
    yield "HTTP_PROXY", f"http://{plan.settings.proxy.outbound}"
    yield "NO_PROXY", ",".join([*LOCAL, f"$({pod_ip})", *KUBERNETES, *METADATA])


def _kept(container: str, theirs: str, name: str) -> str:
    if name == "HTTP_PROXY":
        return f"container {container} sets {theirs} itself: its requests don't go through the sidecar"
    return (
        f"container {container} sets {theirs} itself, which is kept: it should name localhost, 127.0.0.1, the pod's "
        f"address and the API server, or requests to them go through the sidecar"
    )


def _unseen(container: str, names: list[str]) -> str:
    """``env`` wins over ``envFrom``, and what a ConfigMap or a Secret holds is not seen from here."""
    return (
        f"container {container} takes variables from envFrom: where {' or '.join(names)} is among them, in "
        f'either case, it is replaced by the sidecar\'s; {PREFIX}proxy: "false" leaves ours out'
    )
