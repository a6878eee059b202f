"""Who asked for a sidecar, and who has none all the same."""

from collections.abc import Iterator, Mapping, Sequence

from agent.doctor.finding import Finding, absent, ok, warning
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object
from agent.doctor.rules.pods import Pod
from agent.model.marks import INJECT

SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})


def opted(namespaces: Sequence[Object]) -> frozenset[str]:
    """The namespaces whose pods are injected."""
    found = {objects.name(one) for one in namespaces if objects.labels(one).get(INJECT) == "enabled"}
    return frozenset(found - SYSTEM)


def by_namespace(namespaces: Sequence[Object], pods: Sequence[Pod]) -> Iterator[Finding]:
    """``injection.namespaces``."""
    subject = "namespaces that opted in"
    labelled: Mapping[str, object] = {
        objects.name(one): objects.labels(one).get(INJECT) for one in namespaces
    }
    odd = [
        f"{name} ({value})"
        for name, value in labelled.items()
        if value not in (None, "enabled", "false", "disabled")
    ]
    if odd:
        todo = f"kubectl label --overwrite namespace NAME {INJECT}=enabled; on a namespace only that word opts in."
        yield warning(
            "injection.namespaces", subject, f"{INJECT} says nothing on {objects.listed(odd)}", todo
        )
    found = opted(namespaces)
    asking = [pod for pod in pods if pod.wish == "true"]
    if found:
        yield ok("injection.namespaces", subject, objects.listed(found))
    elif asking:
        yield ok("injection.namespaces", subject, f"none; {len(asking)} pods ask for themselves")
    else:
        todo = f"kubectl label namespace NAME {INJECT}=enabled, then make its pods anew."
        yield warning("injection.namespaces", subject, "none, and no pod asks for a sidecar", todo)


def missing(namespaces: Sequence[Object], pods: Sequence[Pod]) -> Iterator[Finding]:
    """``injection.missing``: pods that asked, or whose namespace did, without a sidecar; ``injection.annotation``."""
    subject = "pods that should have a sidecar"
    opted_in = opted(namespaces)
    lacking = [pod for pod in pods if _lacks(pod, opted_in)]
    if lacking:
        todo = (
            "Make them anew: kubectl -n NAMESPACE rollout restart deployment NAME. A pod that was made before its "
            "namespace opted in, or while the webhook was not asked, has none."
        )
        found = f"{len(lacking)} have none: {objects.listed(pod.title for pod in lacking)}"
        yield warning("injection.missing", subject, found, todo)
    else:
        having = sum(pod.injected and not pod.ended for pod in pods)
        state = ok if having else absent
        yield state("injection.missing", subject, f"{having} pods have one, none lacks it")
    noted = [pod.title for pod in pods if pod.only_annotated and not pod.injected and not pod.ended]
    if noted:
        todo = f'Make {INJECT}: "true" a label of the pod template; webhooks select by labels only.'
        yield warning("injection.annotation", "pods that ask by an annotation", objects.listed(noted), todo)


def _lacks(pod: Pod, opted_in: frozenset[str]) -> bool:
    if pod.injected or pod.ended or pod.leaving or pod.spared or pod.wish == "false" or pod.native:
        return False
    within = objects.namespace(pod.whole)
    if pod.wish == "true":
        return within not in SYSTEM
    return within in opted_in and pod.speaks_http
