"""From an admission review to its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from agent.inject import patch, reviews
from agent.inject.injection import Namespace, Outcome, Verdict
from agent.inject.metrics import Metrics
from agent.inject.namespaces import Namespaces
from agent.inject.options import INJECT, REVISION
from agent.inject.reviews import PodError, Request
from agent.runtime.errors import PillionError, Transient

log = structlog.get_logger(__name__)

Inject = Callable[[Mapping[str, Any], Namespace], Outcome]
"""Pure: what becomes of a pod of a namespace."""


class Webhook:
    """Answers reviews; has no effect beside its answer, so a dry run is a review like others."""

    def __init__(
        self, inject: Inject, namespaces: Namespaces, metrics: Metrics, *, revision: str = ""
    ) -> None:
        """``revision`` as ``injector.revision``."""
        self._revision = revision
        self._inject = inject
        self._namespaces = namespaces
        self._metrics = metrics

    async def answer(self, request: Request) -> dict[str, Any]:
        """The answer as an AdmissionReview; raises nothing."""
        if request.other:
            self._metrics.reviews.labels("other").inc()
            return reviews.unchanged(request.uid, [f"Pillion: {request.other}."])
        try:
            return await self._pod(request)
        except PillionError as error:
            # The selectors let through only what is to be in the mesh. Without the namespace's defaults it would be
            # there with a wrong configuration, so it has to wait: its controller tries again.
            self._metrics.reviews.labels("failed").inc()
            log.warning("review.failed", namespace=request.namespace, problem=str(error))
            text = f"Pillion can't inject this pod now, since its namespace can't be read: {error}; try again"
            return reviews.refused(request.uid, text, 503)
        except Exception:
            # A pod without its sidecar would be outside the mesh unseen.
            self._metrics.reviews.labels("failed").inc()
            log.exception("review.defect", namespace=request.namespace)
            text = "Pillion failed to inject this pod: this is a defect; the injector's log shows the trace"
            return reviews.refused(request.uid, text, 500)

    async def _pod(self, request: Request) -> dict[str, Any]:
        """The answer; where the pod is not injected the cause may be a namespace that was changed just now.

        While a namespace is asked for, the pod is held only as it came.
        """
        known = self._namespaces.known(request.namespace)
        judged = self._judged(request, known or await self._namespaces.now(request.namespace))
        if known and judged.verdict in {Verdict.SKIPPED, Verdict.REFUSED}:
            judged = await self._again(request, known, judged)
        self._note(request, judged)
        return judged.answer

    async def _again(self, request: Request, known: Namespace, judged: "_Judged") -> "_Judged":
        """What is found with the namespace as it is now; ``judged`` where nobody says and it would be no other.

        Raises Transient where a namespace that asks for injection since a moment could make another of it.
        """
        try:
            now = await self._namespaces.now(request.namespace)
        except Transient:
            if self._judged(request, _asking(known, self._revision)) == judged:
                return judged
            raise
        return judged if now == known else self._judged(request, now)

    def _judged(self, request: Request, namespace: Namespace) -> "_Judged":
        try:
            pod = reviews.pod(request)
        except PodError as error:
            text = f"Pillion can't inject this pod: {error}"
            return _Judged(None, text, "", reviews.refused(request.uid, text, error.code))
        outcome = self._inject(pod, namespace)
        return _Judged(
            outcome.verdict, outcome.reason, _name(request, pod), _answer(request.uid, pod, outcome)
        )

    def _note(self, request: Request, judged: "_Judged") -> None:
        self._metrics.reviews.labels(reviews.counted(judged.verdict)).inc()
        write = log.info if judged.verdict in {Verdict.INJECTED, Verdict.SKIPPED} else log.warning
        write(
            "review.answered",
            verdict=reviews.counted(judged.verdict),
            namespace=request.namespace,
            pod=judged.name,
            reason=judged.reason[: reviews.TOLD],
            dry_run=bool(request.dry_run),
        )


@dataclass(frozen=True)
class _Judged:
    """What was found of a pod, without the pod."""

    verdict: Verdict | None
    """None: it is no pod."""
    reason: str
    name: str
    answer: dict[str, Any]


def _asking(namespace: Namespace, revision: str) -> Namespace:
    """The namespace as it is where it asks for this injector."""
    labels = {key: text for key, text in namespace.labels.items() if key != REVISION} | {INJECT: "enabled"}
    return replace(namespace, labels=labels | ({REVISION: revision} if revision else {}))


def _answer(uid: str, pod: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    match outcome.verdict:
        case Verdict.INJECTED:
            return reviews.patched(uid, patch.between(pod, outcome.pod), outcome.warnings)
        case Verdict.SKIPPED:
            return reviews.unchanged(uid, (*outcome.unmet, *outcome.warnings))
    return reviews.refused(uid, reviews.told(outcome), 422, outcome.warnings)


def _name(request: Request, pod: Mapping[str, Any]) -> str:
    """What a pod is called; one that a controller makes has only the beginning of a name yet."""
    metadata = pod.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    return str(request.name or found.get("name") or found.get("generateName") or "")[:253]
