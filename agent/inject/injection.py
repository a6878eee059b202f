"""Placeholder of the injection, until the real one is merged."""

import enum
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from agent.config.settings import Settings


@dataclass(frozen=True)
class Namespace:
    """A namespace as far as it matters."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Verdict(enum.StrEnum):
    """What became of a pod."""

    INJECTED = "injected"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """The verdict and what belongs to it."""

    verdict: Verdict
    reason: str
    pod: dict[str, Any]
    warnings: tuple[str, ...] = ()
    problems: tuple[Any, ...] = ()


def inject(pod: dict[str, Any], namespace: Namespace, settings: Settings) -> Outcome:  # noqa: ARG001
    """Add an empty sidecar where the namespace asks for it."""
    if namespace.labels.get("pillion.dev/inject") != "enabled":
        return Outcome(Verdict.SKIPPED, "the namespace is not enabled", pod)
    made = deepcopy(pod)
    sidecar = {"name": "pillion", "image": "pillion:dev", "restartPolicy": "Always"}
    made["spec"].setdefault("initContainers", []).append(sidecar)
    return Outcome(Verdict.INJECTED, "", made)
