"""The annotation that lets `kubectl logs` and `kubectl exec` mean the application."""

from typing import Any

from agent.inject.mutate.marker import Added
from agent.inject.plan import Plan

DEFAULT = "kubectl.kubernetes.io/default-container"


def shown(annotations: dict[str, Any], plan: Plan, added: Added) -> dict[str, Any]:
    """The annotations with the application's container as the default, unless somebody chose one."""
    if DEFAULT in annotations:
        return annotations
    added.default_container = True
    return {**annotations, DEFAULT: plan.application}
