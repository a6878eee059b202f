"""Pods and other objects that tests make."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.kubernetes.kube import Kube, until

CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
USER = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec(
    image: str, command: Sequence[str], *, name: str = "main", scripts: str = "", **more: Any
) -> dict[str, Any]:
    """A pod of one container that Pod Security `restricted` admits; ``scripts`` is a ConfigMap, mounted at /scripts."""
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]
    if scripts:
        volumes.append({"name": "scripts", "configMap": {"name": scripts}})
        mounts.append({"name": "scripts", "mountPath": "/scripts", "readOnly": True})
    container = {
        "name": name,
        "image": image,
        "command": list(command),
        "securityContext": CONFINED,
        "volumeMounts": mounts,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        **more,
    }
    return {
        "securityContext": USER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": volumes,
    }


def metadata(
    name: str, namespace: str, *, labels: Mapping[str, str] | None = None, **annotations: str
) -> dict[str, Any]:
    """An object's metadata; an annotation's name is below ``pillion.dev/`` with ``_`` for ``-``."""
    notes = {f"pillion.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"name": name, "namespace": namespace, "labels": dict(labels or {}), "annotations": notes}


def pod(meta: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """A pod that is not started again."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"restartPolicy": "Never", **body}}


def job(meta: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """A Job of one pod, tried once; its pod has the Job's labels and annotations."""
    inner = {key: meta[key] for key in ("labels", "annotations")}
    template = {"metadata": inner, "spec": {"restartPolicy": "Never", **body}}
    outer = {"name": meta["name"], "namespace": meta["namespace"]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": outer, "spec": {"backoffLimit": 0, "template": template},
    }  # fmt: skip


def deployment(meta: Mapping[str, Any], body: Mapping[str, Any], replicas: int = 1) -> dict[str, Any]:
    """A Deployment; its pods have its labels and annotations and the label ``app``, its name."""
    chosen = {"app": meta["name"]}
    inner = {"labels": {**meta["labels"], **chosen}, "annotations": meta["annotations"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": chosen},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": inner, "spec": body},
        },
    }


def config_map(name: str, namespace: str, data: Mapping[str, str]) -> dict[str, Any]:
    """A ConfigMap."""
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": dict(data),
    }  # fmt: skip


def on_the_node(kube: Kube, namespace: str, image: str, script: str, *arguments: str) -> str:
    """What a Python script says that runs as root among all processes of the node.

    The namespace must not confine its pods.
    """
    name = f"node-{uuid.uuid4().hex[:6]}"
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", script, *arguments],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "privileged": True},
    }
    body = {"hostPID": True, "automountServiceAccountToken": False, "containers": [container]}
    kube.apply(pod(metadata(name, namespace, labels={"pillion.dev/inject": "false"}), body))

    def ended() -> bool:
        found = kube.get("pod", name, namespace)
        return found is not None and found["status"]["phase"] in ("Succeeded", "Failed")

    try:
        until(f"{name} ends", ended, 60)
        return kube("logs", f"--namespace={namespace}", name)
    finally:
        kube.delete("pod", name, namespace, "--wait=false")
