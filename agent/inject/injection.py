"""From a pod, its namespace and the settings to the pod with a sidecar: the one function that both ways in use.

Pure, and total: whatever a manifest holds, the answer is an ``Outcome``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from agent.config.settings import Settings
from agent.runtime.errors import Problem


@dataclass(frozen=True)
class Namespace:
    """What injection looks at of the namespace that a pod goes to."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


class Verdict(Enum):
    """What became of a pod."""

    INJECTED = "injected"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """What became of a pod, and why."""

    verdict: Verdict
    reason: str
    """Why it was skipped or refused; empty when it was injected."""
    pod: Mapping[str, Any]
    """The pod or pod template (``metadata``, ``spec`` and what else it had) after; what was given when it was not
    injected."""
    warnings: tuple[str, ...] = ()
    """Sentences on what works otherwise than one may expect."""
    problems: tuple[Problem, ...] = ()
    """When refused: each names the annotation, what is wrong and what is allowed."""


def inject(pod: Mapping[str, Any], namespace: Namespace, settings: Settings) -> Outcome:
    """``pod`` with the sidecar and what leads its applications to it, where it is to have that.

    ``settings`` are the injector's own. Nothing that was given is altered; never raises, whatever ``pod`` holds.
    """
    del namespace, settings
    return Outcome(Verdict.SKIPPED, "injection is not there yet", pod)


def uninject(pod: Mapping[str, Any]) -> Outcome:
    """``pod`` as it was before ``inject``, equal as data; ``INJECTED`` then means that it was changed back."""
    return Outcome(Verdict.SKIPPED, "is not injected", pod)
