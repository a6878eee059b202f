"""Services that lead past Envoy."""

from collections.abc import Iterator, Sequence

from agent.doctor.finding import Finding, absent, ok, warning
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object
from agent.doctor.rules.pods import Pod, selected


def bypassing(services: Sequence[Object], pods: Sequence[Pod]) -> list[Finding]:
    """``services.bypass``: Services that send to an application's port in an injected pod, not to its sidecar."""
    subject = "Services in front of injected pods"
    served = [pod for pod in pods if pod.injected and not pod.ended and pod.inbound]
    facing = [(one, pod) for one in services if (pod := _first(one, served)) is not None]
    if not facing:
        return [absent("services.bypass", subject, "there are none")]
    past = [f"{objects.full(one)} ({port})" for one, pod in facing for port in _past(one, pod)]
    if past:
        inbound = min(pod.inbound for _, pod in facing)
        todo = (
            f"Set targetPort: {inbound} (pillion-inbound) where callers are to meet versions, limits and traces; and "
            "networkPolicy.enabled of the chart `service` lets nobody past the sidecar."
        )
        return [
            warning(
                "services.bypass", subject, f"they reach the application itself: {objects.listed(past)}", todo
            )
        ]
    return [ok("services.bypass", subject, f"all {len(facing)} lead to the sidecar")]


def _first(service: Object, pods: Sequence[Pod]) -> Pod | None:
    """An injected pod that the Service chooses."""
    selector, within = objects.mapping(service, "spec", "selector"), objects.namespace(service)
    chosen = [pod for pod in pods if objects.namespace(pod.whole) == within and selected(selector, pod)]
    return chosen[0] if chosen else None


def _past(service: Object, pod: Pod) -> Iterator[str]:
    """The Service's ports that lead to the application's port which the sidecar serves."""
    for port in objects.rows(service, "spec", "ports"):
        wanted = port.get("targetPort") or port.get("port")
        number = pod.port(wanted)
        other = port.get("protocol") not in (None, "TCP")
        if number and number == pod.served and not other:
            yield f"{objects.number(port, 'port')} to {number}"
