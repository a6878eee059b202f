"""The sidecar: a native one, an init container that starts before the applications and ends after them."""

from typing import Any

from agent.inject.mutate import tell
from agent.inject.mutate.volumes import CONFIG, CONSUL, OUTBOX, STATE
from agent.inject.plan import Plan

USER = 65532
"""The image's own user and group; not root."""


def container(plan: Plan) -> dict[str, Any]:
    """The container, admitted by the Pod Security Standard `restricted`."""
    injector = plan.settings.injector
    policy = {"imagePullPolicy": injector.image_pull_policy} if injector.image_pull_policy else {}
    return {
        "name": plan.names.sidecar,
        "image": injector.image,
        **policy,
        "restartPolicy": "Always",
        "args": ["run"],
        "env": tell.environment(plan),
        "ports": [
            {"name": "pillion-inbound", "containerPort": plan.ports.inbound, "protocol": "TCP"},
            {"name": "pillion-probes", "containerPort": plan.ports.health, "protocol": "TCP"},
            {"name": "pillion-metrics", "containerPort": plan.ports.metrics, "protocol": "TCP"},
        ],
        **_probes(plan),
        "lifecycle": {"preStop": {"exec": {"command": ["pillion", "drain", "--begin"]}}},
        "resources": plan.resources,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": _mounts(plan),
    }


def _probes(plan: Plan) -> dict[str, Any]:
    # Neither waits for the application or Consul: the kubelet starts the application once the first has passed.
    # What /envoyz says is Envoy's state alone, and the hook is copied before it answers.
    port = plan.ports.health
    return {
        "startupProbe": {
            "httpGet": {"path": "/envoyz", "port": port},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "readinessProbe": {"httpGet": {"path": "/envoyz", "port": port}, "periodSeconds": 5},
    }


def _mounts(plan: Plan) -> list[dict[str, Any]]:
    names, injector = plan.names, plan.settings.injector
    mounts: list[dict[str, Any]] = [{"name": names.state, "mountPath": STATE}]
    if plan.carries:
        mounts.append({"name": names.hook, "mountPath": names.folder})
    for wanted, name, path in (
        (plan.own.config, names.config, CONFIG),
        (plan.own.outbox_database_secret, names.outbox, OUTBOX),
        (injector.consul_token_secret or injector.consul_login_method, names.token, CONSUL),
    ):
        if wanted:
            mounts.append({"name": name, "mountPath": path, "readOnly": True})
    return mounts
