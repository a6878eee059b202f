"""Parts of a pod whose form was checked, with nothing where they are missing or null."""

from collections.abc import Mapping
from typing import Any

Container = dict[str, Any]


def labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels."""
    found: Mapping[str, str] = (pod.get("metadata") or {}).get("labels") or {}
    return found


def annotations(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The annotations; those of others need not be texts."""
    found: Mapping[str, Any] = (pod.get("metadata") or {}).get("annotations") or {}
    return found


def containers(pod: Mapping[str, Any]) -> list[Container]:
    """The ordinary containers: the applications."""
    return pod["spec"].get("containers") or []


def init_containers(pod: Mapping[str, Any]) -> list[Container]:
    """The init containers, native sidecars among them."""
    return pod["spec"].get("initContainers") or []


def volumes(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The volumes."""
    return pod["spec"].get("volumes") or []


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Whether an init container is a native sidecar."""
    return container.get("restartPolicy") == "Always"


def ports(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ports that a container names."""
    return container.get("ports") or []


def env(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The environment that a container is given by name."""
    return container.get("env") or []


def variable(container: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The entry of that name in a container's environment; of several the last, which counts."""
    return next((one for one in reversed(env(container)) if one["name"] == name), None)
