"""From a pod, its namespace and the settings to the pod with a sidecar: the one function that both ways in use.

Pure, and total: whatever a manifest holds, the answer is an ``Outcome``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from agent.config.settings import Settings
from agent.inject import annotations, form, parts
from agent.inject.decide import decide
from agent.inject.mutate import marker
from agent.inject.mutate.undo import undone
from agent.inject.mutate.whole import mutated
from agent.inject.notices import notices
from agent.inject.options import INJECT, MARKER, PREFIX
from agent.inject.plan import plan
from agent.inject.serving import serving
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
    unmet: tuple[str, ...] = ()
    """When skipped: a sentence for whoever asked for the sidecar and sees no report with the reason."""


def inject(pod: Mapping[str, Any], namespace: Namespace, settings: Settings) -> Outcome:
    """``pod`` with the sidecar and what leads its applications to it, where it is to have that.

    ``settings`` are the injector's own. Nothing that was given is altered; never raises, whatever ``pod`` holds.
    """
    if wrong := form.problems(pod):
        return _refused(pod, wrong)
    decision = decide(pod, namespace.name, namespace.labels, settings.injector.revision)
    if decision.problems:
        return _refused(pod, decision.problems)
    if decision.skip:
        unmet = (f"Pillion gives this pod no sidecar, though its label asks for one: {decision.skip}",)
        return Outcome(Verdict.SKIPPED, decision.skip, pod, unmet=unmet if decision.unmet else ())
    return _asked(pod, namespace, settings, decision.asked)


def _asked(pod: Mapping[str, Any], namespace: Namespace, settings: Settings, by_pod: bool) -> Outcome:
    """The outcome for a pod that is to be injected, as far as it can be."""
    read = annotations.read(parts.annotations(pod), namespace.annotations, namespace.name)
    if read.problems:
        return _refused(pod, read.problems, read.warnings)
    served = serving(pod, _port(read))
    if not served.port and not by_pod:
        return Outcome(Verdict.SKIPPED, _NO_PORT, pod, read.warnings)
    made, wrong = plan(pod, read, served, settings)
    if wrong:
        return _refused(pod, wrong, read.warnings)
    changed, told = mutated(pod, made, read.names)
    warnings = (*read.warnings, *([served.warning] if served.warning else []), *told)
    return Outcome(Verdict.INJECTED, "", changed, (*warnings, *notices(pod, made, read.names)))


_NO_PORT = (
    f'no container names an HTTP port; {PREFIX}port says which it is, the label {INJECT}: "true" asks for a sidecar '
    f"without one"
)


def uninject(pod: Mapping[str, Any]) -> Outcome:
    """``pod`` as it was before ``inject``, equal as data; ``INJECTED`` then means that it was changed back.

    What was changed since it was injected stays. Never raises.
    """
    if wrong := form.problems(pod):
        return _refused(pod, wrong)
    if MARKER not in parts.annotations(pod):
        return Outcome(Verdict.SKIPPED, "it is not injected", pod)
    added = marker.read(parts.annotations(pod))
    if added is None:
        return _refused(pod, [Problem(MARKER, "was not written by this version", "what inject wrote")])
    return Outcome(Verdict.INJECTED, "", undone(pod, added))


def _port(read: annotations.Read) -> int | None:
    given = read.given.get("service.port")
    return given.value if given is not None and isinstance(given.value, int) else None


def _refused(pod: Mapping[str, Any], wrong: Sequence[Problem], warnings: tuple[str, ...] = ()) -> Outcome:
    return Outcome(Verdict.REFUSED, "; ".join(map(str, wrong)), pod, warnings, tuple(wrong))
