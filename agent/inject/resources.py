"""What the sidecar's container asks for and may use."""

import re
from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any

from agent.config.sections.injector import Resources
from agent.inject import parts
from agent.inject.options import PREFIX
from agent.runtime.errors import Problem

KINDS = ("cpu", "memory")

GUARANTEED_CPU = "500m"
"""CPU of a sidecar whose limit is to be its request, where no annotation says otherwise: with the little that is kept
for it otherwise, while it borrows the rest, it would take half a minute to start."""

_FORM = re.compile(
    r"([0-9]{1,20}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = "KMGTPE"


def amount(quantity: object) -> Decimal | None:
    """A quantity as a number of cores or bytes; None for what is none.

    Source: Kubernetes, "Quantity" in the API reference."""
    if isinstance(quantity, bool) or not isinstance(quantity, str | int | float):
        return None
    match = _FORM.fullmatch(str(quantity))
    if match is None:
        return None
    number, suffix, exponent = Decimal(match[1]), match[2] or "", int(match[3] or 0)
    if suffix.endswith("i"):
        return number * Decimal(1024 ** (_BINARY.index(suffix[0]) + 1))
    return number.scaleb(_DECIMAL.get(suffix, exponent))


def problems(resources: Resources, said: Container[str]) -> list[Problem]:
    """What can't be where both were said: a request beyond its limit."""
    return [
        Problem(
            f"{PREFIX}{kind}-request", f"is {request}, more than {PREFIX}{kind}-limit", f"at most {limit}"
        )
        for kind in KINDS
        for request, limit in [_asked(resources, kind)]
        if _beyond(request, limit) and f"{kind}-request" in said and f"{kind}-limit" in said
    ]


def fitted(
    resources: Resources, said: Container[str], pod: Mapping[str, Any]
) -> Mapping[str, Mapping[str, str]]:
    """``requests`` and ``limits`` of the sidecar's container in ``pod``, whose form was checked.

    ``said`` are the options that somebody gave. Where a request is beyond a limit, the one that nobody said is moved to
    the other: Kubernetes takes no request beyond its limit. What the pod says for all its containers together leaves
    ours out, and where every other container's limits are its requests ours are too."""
    found: dict[str, dict[str, str]] = {}
    alike = guaranteed(pod)
    for kind in KINDS:
        if kind in shared(pod):
            continue
        request, limit = _alike(resources, kind, said) if alike else _apart(resources, kind, said)
        if request:
            found.setdefault("requests", {})[kind] = request
        if limit:
            found.setdefault("limits", {})[kind] = limit
    return found


def shared(pod: Mapping[str, Any]) -> list[str]:
    """The kinds of which the pod says a request or a limit for all its containers together (``spec.resources``).

    The API server refuses a pod whose containers ask for more than that, and takes a missing one of the two for the
    containers' sum before any webhook sees the pod: there is no room for a further container. Source: Kubernetes,
    "Pod-level resources"."""
    own = pod["spec"].get("resources")
    both = [own.get(one) for one in ("requests", "limits")] if isinstance(own, dict) else []
    return [kind for kind in KINDS if any(isinstance(one, dict) and kind in one for one in both)]


def guaranteed(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is of the class Guaranteed by its containers: each limits CPU and memory to what it requests."""
    every = (*parts.containers(pod), *parts.init_containers(pod))
    return not pod["spec"].get("resources") and all(_is_fixed(one.get("resources")) for one in every)


def _is_fixed(resources: object) -> bool:
    if not isinstance(resources, dict):
        return False
    limits, requests = resources.get("limits"), resources.get("requests")
    if not isinstance(limits, dict) or not isinstance(requests, dict | None):
        return False
    for kind in KINDS:
        limit = amount(limits.get(kind))
        # A request that is missing is the limit.
        if not limit or amount((requests or {}).get(kind, limits[kind])) != limit:
            return False
    return True


def _asked(resources: Resources, kind: str) -> tuple[str, str]:
    request: str = getattr(resources, f"{kind}_request")
    limit: str = getattr(resources, f"{kind}_limit")
    return request, limit


def _beyond(request: str, limit: str) -> bool:
    return bool(request and limit) and _number(request) > _number(limit)


def _number(quantity: str) -> Decimal:
    return amount(quantity) or Decimal()


def _apart(resources: Resources, kind: str, said: Container[str]) -> tuple[str, str]:
    request, limit = _asked(resources, kind)
    if _beyond(request, limit):
        request = limit = request if f"{kind}-request" in said else limit
    return request, limit


def _alike(resources: Resources, kind: str, said: Container[str]) -> tuple[str, str]:
    """The same as request and limit, unless annotations say both."""
    request, limit = _asked(resources, kind)
    by_request, by_limit = f"{kind}-request" in said, f"{kind}-limit" in said
    if by_request and by_limit:
        return request, limit
    one = request if by_request else limit or request
    if kind == "cpu" and not limit and not by_request and _number(one) < _number(GUARANTEED_CPU):
        one = GUARANTEED_CPU
    return one, one
