"""From an admission review to its answer."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from agent.inject import patch, reviews
from agent.inject.injection import Namespace, Outcome, Verdict
from agent.inject.metrics import Metrics
from agent.inject.namespaces import Namespaces
from agent.inject.reviews import Request
from agent.runtime.errors import PillionError

log = structlog.get_logger(__name__)

Inject = Callable[[Mapping[str, Any], Namespace], Outcome]
"""Pure: what becomes of a pod of a namespace."""


class Webhook:
    """Answers reviews; has no effect beside its answer, so a dry run is a review like others."""

    def __init__(self, inject: Inject, namespaces: Namespaces, metrics: Metrics) -> None:
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
        pod = request.object
        if not isinstance(pod, dict):
            self._metrics.reviews.labels("malformed").inc()
            return reviews.refused(
                request.uid, "Pillion can't inject this pod: the review holds no object", 400
            )
        outcome = await self._outcome(pod, request.namespace)
        self._note(request, outcome)
        match outcome.verdict:
            case Verdict.INJECTED:
                operations = patch.between(pod, outcome.pod)
                return reviews.patched(request.uid, operations, outcome.warnings)
            case Verdict.SKIPPED:
                return reviews.unchanged(request.uid, (*outcome.unmet, *outcome.warnings))
        return reviews.refused(request.uid, reviews.told(outcome), 422, outcome.warnings)

    async def _outcome(self, pod: dict[str, Any], name: str) -> Outcome:
        """What becomes of the pod; where it is not injected the cause may be a namespace that was changed just now."""
        namespace = await self._namespaces.of(name)
        outcome = self._inject(pod, namespace)
        if outcome.verdict is Verdict.INJECTED:
            return outcome
        now = await self._namespaces.of(name, fresh=True)
        return outcome if now == namespace else self._inject(pod, now)

    def _note(self, request: Request, outcome: Outcome) -> None:
        self._metrics.reviews.labels(reviews.counted(outcome)).inc()
        write = log.warning if outcome.verdict is Verdict.REFUSED else log.info
        write(
            "review.answered",
            verdict=outcome.verdict.value,
            namespace=request.namespace,
            pod=_name(request),
            reason=outcome.reason,
            dry_run=bool(request.dry_run),
        )


def _name(request: Request) -> str:
    """What a pod is called; one that a controller makes has only the beginning of a name yet."""
    metadata = request.object.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    return str(request.name or found.get("name") or found.get("generateName") or "")[:253]
