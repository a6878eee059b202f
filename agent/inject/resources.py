"""What the sidecar's container asks for and may use."""

from collections.abc import Container, Mapping

from agent.config.sections.injector import Resources
from agent.inject.options import PREFIX
from agent.runtime.errors import Problem

_UNITS = {
    "": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def amount(quantity: str) -> float:
    """A quantity, whose form was checked, as a number of cores or bytes."""
    number = quantity.rstrip("mkMGTi")
    return float(number) * _UNITS[quantity.removeprefix(number)]


def _kinds(resources: Resources) -> tuple[tuple[str, str, str], ...]:
    return (
        ("cpu", resources.cpu_request, resources.cpu_limit),
        ("memory", resources.memory_request, resources.memory_limit),
    )


def _beyond(request: str, limit: str) -> bool:
    return bool(request and limit) and amount(request) > amount(limit)


def problems(resources: Resources, said: Container[str]) -> list[Problem]:
    """What can't be where both were said: a request beyond its limit."""
    return [
        Problem(
            f"{PREFIX}{kind}-request", f"is {request}, more than {PREFIX}{kind}-limit", f"at most {limit}"
        )
        for kind, request, limit in _kinds(resources)
        if _beyond(request, limit) and f"{kind}-request" in said and f"{kind}-limit" in said
    ]


def fitted(resources: Resources, said: Container[str]) -> Mapping[str, Mapping[str, str]]:
    """``requests`` and ``limits`` of a container.

    ``said`` are the options that somebody gave: where a request is beyond a limit, the one that nobody said is
    moved to the other. Kubernetes takes no request beyond its limit."""
    found: dict[str, dict[str, str]] = {}
    for kind, request, limit in _kinds(resources):
        if _beyond(request, limit):
            both = request if f"{kind}-request" in said else limit
            request = limit = both  # noqa: PLW2901
        if request:
            found.setdefault("requests", {})[kind] = request
        if limit:
            found.setdefault("limits", {})[kind] = limit
    return found
