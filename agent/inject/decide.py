"""Whether a pod is to be injected: who asks for it, and what speaks against it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.inject.options import INJECT, MARKER, REVISION
from agent.inject.parts import annotations, containers, init_containers, is_sidecar, labels
from agent.runtime.errors import Problem

SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces whose pods the cluster itself needs."""

OTHER_SIDECARS = frozenset(
    {
        "istio-proxy",
        "linkerd-proxy",
        "consul-dataplane",
        "consul-connect-envoy-sidecar",
        "envoy-sidecar",
        "kuma-sidecar",
        "osm-envoy",
        "daprd",
    }
)
"""Containers of other meshes, which carry the same requests."""

OTHER_MARKS = {
    "sidecar.istio.io/status": None,
    "linkerd.io/proxy-version": None,
    "linkerd.io/inject": "enabled",
    "consul.hashicorp.com/connect-inject": "true",
    "dapr.io/enabled": "true",
    "kuma.io/sidecar-injection": "enabled",
    "sidecar.istio.io/inject": "true",
}
"""Annotations and labels by which another mesh comes into a pod, with the value that says so; None: any."""


@dataclass(frozen=True)
class Decision:
    """Whether and why."""

    skip: str = ""
    """Why the pod is left alone; empty when it is to be injected."""
    asked: bool = False
    """The pod itself asks for it, not only its namespace."""
    unmet: bool = False
    """It is skipped though it asks itself, and gets no sidecar from elsewhere either."""
    problems: tuple[Problem, ...] = ()
    """Why it can't be said."""


def decide(pod: Mapping[str, Any], name: str, on: Mapping[str, str], revision: str) -> Decision:
    """Whether ``pod``, whose form was checked, is to be injected.

    ``name`` and ``on`` are the name and the labels of its namespace, ``revision`` that of this injector. Whether
    there is a port to serve is decided later.
    """
    if "false" in {labels(pod).get(INJECT), annotations(pod).get(INJECT)}:
        return Decision(skip=f'{INJECT} is "false"')
    wish = labels(pod).get(INJECT)
    if wish not in {None, "true"}:
        return Decision(problems=(Problem(INJECT, f"is {wish[:80]!r}" if wish else "is empty", _ALLOWED),))
    if wish is None and on.get(INJECT) != "enabled":
        hint = _hint(pod)
        return Decision(skip=f"neither the namespace nor the pod asks for it{hint}")
    asked = wish == "true"
    if done := next(_elsewhere(pod, on, revision), ""):
        return Decision(skip=done, asked=asked)
    against = next(_against(pod, name), "")
    return Decision(skip=against, asked=asked, unmet=asked and bool(against))


_ALLOWED = '"true" or "false", as a label of the pod'


def _hint(pod: Mapping[str, Any]) -> str:
    if annotations(pod).get(INJECT) is None:
        return ""
    return f" ({INJECT} is an annotation; only as a label it asks for injection)"


def _elsewhere(pod: Mapping[str, Any], on: Mapping[str, str], revision: str) -> Iterator[str]:
    """Why a pod has its sidecar already, or gets it from another injector."""
    wanted = labels(pod).get(REVISION, on.get(REVISION, ""))
    if wanted != revision:
        yield f"{REVISION} asks for the injector {wanted[:63]!r}, this is {revision!r}"
    if MARKER in annotations(pod):
        yield "it is injected already"
    if any(one["name"] == "pillion" and is_sidecar(one) for one in init_containers(pod)):
        yield "it has a sidecar pillion already"


def _against(pod: Mapping[str, Any], name: str) -> Iterator[str]:
    if name in SYSTEM:
        yield f"the namespace {name} belongs to the cluster"
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        yield "it uses the network of its node (hostNetwork)"
    if "kubernetes.io/config.mirror" in annotations(pod):
        yield "it is a static pod"
    if _is_windows(spec):
        yield "it is a Windows pod"
    yield from _other_mesh(pod)


_OS = "kubernetes.io/os"


def _is_windows(spec: Mapping[str, Any]) -> bool:
    return (
        _at(spec, "os").get("name") == "windows"
        or _at(spec, "nodeSelector").get(_OS) == "windows"
        or _only_on_windows(spec)
    )


def _only_on_windows(spec: Mapping[str, Any]) -> bool:
    """Whether all nodes that the pod requires by affinity are of Windows; a node needs to meet one term of several."""
    required = _at(
        _at(_at(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = required.get("nodeSelectorTerms")
    return isinstance(terms, list) and bool(terms) and all(_names_windows(one) for one in terms)


def _names_windows(term: object) -> bool:
    expressions = term.get("matchExpressions") if isinstance(term, Mapping) else None
    return isinstance(expressions, list) and any(
        isinstance(one, Mapping)
        and (one.get("key"), one.get("operator"), one.get("values")) == (_OS, "In", ["windows"])
        for one in expressions
    )


def _at(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}


def _other_mesh(pod: Mapping[str, Any]) -> Iterator[str]:
    for container in (*containers(pod), *init_containers(pod)):
        if container["name"] in OTHER_SIDECARS:
            yield f"it has the sidecar of another mesh ({container['name']})"
    for mark, value in OTHER_MARKS.items():
        for given in (annotations(pod).get(mark), labels(pod).get(mark)):
            if given is not None and value in (None, given):
                yield f"it gets the sidecar of another mesh ({mark})"
