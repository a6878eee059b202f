"""The sidecars of injected pods: native, ready, of one version; and Jobs, which end only beside native ones."""

from collections.abc import Iterator, Sequence

from agent.doctor.finding import Finding, absent, ok, problem, warning
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object
from agent.doctor.rules.pods import Pod


def living(pods: Sequence[Pod]) -> list[Pod]:
    """Injected pods that run or are to run."""
    return [pod for pod in pods if pod.injected and not pod.ended]


def native(pods: Sequence[Pod]) -> list[Finding]:
    """``sidecars.native``."""
    subject = "sidecars as init containers that go on running"
    every = living(pods)
    if not every:
        return [absent("sidecars.native", subject, "no pod is injected")]
    wrong = [pod.title for pod in every if pod.native is None]
    if wrong:
        todo = "See what changes pods behind the webhook (another webhook, an API server before 1.29); make them anew."
        found = f"{objects.listed(wrong)} are marked as injected and have none"
        return [problem("sidecars.native", subject, found, todo)]
    return [ok("sidecars.native", subject, f"{len(every)} pods")]


def ready(pods: Sequence[Pod]) -> list[Finding]:
    """``sidecars.ready``."""
    subject = "sidecars that are ready"
    every = [pod for pod in living(pods) if pod.native is not None and not pod.leaving]
    if not every:
        return [absent("sidecars.ready", subject, "no pod is injected")]
    wrong = [
        f"{pod.title} ({_state(pod.status())})" for pod in every if pod.status().get("ready") is not True
    ]
    if wrong:
        pod = min(one.title for one in every if one.status().get("ready") is not True)
        namespace, _, name = pod.partition("/")
        todo = (
            f"kubectl -n {namespace} describe pod {name}, and kubectl -n {namespace} logs {name} -c pillion"
        )
        return [problem("sidecars.ready", subject, f"{objects.listed(wrong)} are not", todo)]
    return [ok("sidecars.ready", subject, f"all {len(every)}")]


def _state(status: Object) -> str:
    """Why a container is not ready, in Kubernetes' words."""
    for kind in ("waiting", "terminated"):
        if reason := objects.text(status, "state", kind, "reason"):
            return reason
    return "running, not ready" if objects.part(status, "state", "running") else "not started"


def versions(pods: Sequence[Pod], wanted: str) -> list[Finding]:
    """``sidecars.version``; ``wanted`` is the image that the injector gives now, empty when that is not known.

    Pods that chose theirs by an annotation are left out.
    """
    subject = "the sidecars' image"
    every = [pod for pod in living(pods) if pod.native is not None and not pod.own_image]
    images = {pod.title: objects.text(pod.native, "image") for pod in every}
    if not images:
        return [absent("sidecars.version", subject, "no pod has the injector's")]
    todo = "Make these pods anew when it suits: kubectl -n NAMESPACE rollout restart deployment NAME."
    if wanted:
        other = [f"{title} ({image})" for title, image in images.items() if image != wanted]
        if other:
            found = f"{len(other)} have another one than the injector's {wanted}: {objects.listed(other)}"
            return [warning("sidecars.version", subject, found, todo)]
        return [ok("sidecars.version", subject, wanted)]
    if len(set(images.values())) > 1:
        return [
            warning(
                "sidecars.version", subject, f"there are several: {objects.listed(images.values())}", todo
            )
        ]
    return [ok("sidecars.version", subject, objects.listed(images.values()))]


def jobs(pods: Sequence[Pod]) -> Iterator[Finding]:
    """``jobs.end``: pods of Jobs beside whose sidecar the Job would never end."""
    subject = "injected pods of Jobs"
    every = [pod for pod in pods if pod.injected and pod.owner == "Job"]
    if not every:
        yield absent("jobs.end", subject, "there are none")
        return
    stuck = [pod.title for pod in every if not pod.ended and not pod.leaving and _all_done(pod)]
    if stuck:
        todo = (
            "See the sidecar's log in that pod: Kubernetes ends a native sidecar when the others have ended."
        )
        yield problem(
            "jobs.end", subject, f"{objects.listed(stuck)}: all containers ended, the pod did not", todo
        )
    else:
        ended = sum(pod.ended for pod in every)
        yield ok("jobs.end", subject, f"{len(every)}, of which {ended} ended")


def _all_done(pod: Pod) -> bool:
    statuses = objects.rows(pod.whole, "status", "containerStatuses")
    done = [objects.part(one, "state", "terminated") is not None for one in statuses]
    return len(done) >= len(pod.applications) > 0 and all(done) and pod.native is None
