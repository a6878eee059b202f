"""The injector's webhook: its configuration, who answers, and what happens when nobody does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.doctor.finding import Finding, ok, problem, warning
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object
from agent.model.marks import WEBHOOKS

INSTALL = "Install the injector: helm install pillion charts/pillion, in a namespace of its own."


@dataclass(frozen=True)
class Service:
    """Where the API server asks."""

    namespace: str
    name: str


def ours(configurations: Sequence[Object]) -> list[Object]:
    """The webhook configurations that are Pillion's, by the names of their webhooks."""
    return [one for one in configurations if any(map(_is_ours, objects.rows(one, "webhooks")))]


def services(configurations: Sequence[Object]) -> list[Service]:
    """The Services that they name, each once."""
    found = {
        Service(objects.text(place, "namespace"), objects.text(place, "name"))
        for one in ours(configurations)
        for webhook in objects.rows(one, "webhooks")
        if (place := objects.mapping(webhook, "clientConfig", "service"))
    }
    return sorted(found, key=lambda one: (one.namespace, one.name))


def present(configurations: Sequence[Object]) -> list[Finding]:
    """``webhook.present``."""
    found = ours(configurations)
    if not found:
        return [problem("webhook.present", "the injector's webhook configuration", "there is none", INSTALL)]
    names = objects.listed(map(objects.name, found))
    return [ok("webhook.present", "the injector's webhook configuration", names)]


def failure(configurations: Sequence[Object]) -> Iterator[Finding]:
    """``webhook.failure-policy``, of each configuration."""
    for one in ours(configurations):
        subject = f"the failurePolicy of {objects.name(one)}"
        policies = {
            objects.text(webhook, "failurePolicy") or "Fail" for webhook in objects.rows(one, "webhooks")
        }
        if policies == {"Fail"}:
            yield ok("webhook.failure-policy", subject, "Fail")
        else:
            found = (
                f"{objects.listed(policies)}: while the injector is away, pods start without their sidecar"
            )
            todo = "Set it to Fail, as the chart does: the webhook is asked for pods that opted in only."
            yield warning("webhook.failure-policy", subject, found, todo)


def answers(service: Service, found: Object | None, slices: Sequence[Object]) -> list[Finding]:
    """``webhook.service``, from a Service that a configuration names and its EndpointSlices."""
    subject = f"the webhook's Service {service.namespace}/{service.name}"
    if found is None:
        return [problem("webhook.service", subject, "there is none: pods that opted in are refused", INSTALL)]
    ready = ready_endpoints(slices)
    if not ready:
        todo = f"See the injector's pods: kubectl -n {service.namespace} get pods, and their logs."
        found_ = "no endpoint is ready: pods that opted in are refused"
        return [problem("webhook.service", subject, found_, todo)]
    if ready == 1:
        todo = "Run two replicas (injector.replicas), so that a node may be drained."
        return [warning("webhook.service", subject, "one endpoint is ready", todo)]
    return [ok("webhook.service", subject, f"{ready} endpoints are ready")]


def ready_endpoints(slices: Sequence[Object]) -> int:
    """How many endpoints are ready; one of which nothing is said is. Source: Kubernetes, EndpointSlices."""
    return sum(
        objects.part(endpoint, "conditions", "ready") is not False
        for one in slices
        for endpoint in objects.rows(one, "endpoints")
    )


def _is_ours(webhook: Object) -> bool:
    return objects.text(webhook, "name").endswith(WEBHOOKS)
