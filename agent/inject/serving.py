"""Which port of a pod speaks HTTP, by what its containers say of their ports."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.inject import parts
from agent.inject.options import PREFIX

_HTTP = re.compile(r"(http|web|flask|gunicorn|wsgi)([0-9]*|-[a-z0-9-]*)|[a-z0-9-]*-http")
_ASIDE = re.compile(
    r"(.*-)?(metrics?|prometheus|exporter|stats|admin|management|mgmt|health|healthz|healthcheck|probes?|live|livez"
    r"|liveness|ready|readyz|readiness|status|debug|pprof|profiling|profiler)(-.*)?"
)
"""Names of ports that speak HTTP beside what a container is for: a database has them too."""
_OTHER = frozenset(
    {
        21, 22, 23, 25, 53, 110, 143, 389, 443, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 2379, 2380, 3306,
        4222, 5432, 5671, 5672, 6379, 6443, 8443, 9042, 9092, 9443, 11211, 26379, 27017,
    }
)  # fmt: skip
"""Ports that by custom speak something else, or TLS."""


@dataclass(frozen=True)
class Serving:
    """Where the pod serves HTTP."""

    port: int
    """0: nowhere."""
    container: str
    """The container of the port, else the first."""
    warning: str = ""


def serving(pod: Mapping[str, Any], annotated: int | None) -> Serving:
    """The HTTP port of ``pod``, whose form was checked.

    ``annotated`` is what the annotation says, None without one. Else: the port called ``http``; one whose name
    begins with http or web and means the service, not its metrics, probes or the like; the only port without a name,
    unless it is known for something else.
    """
    first = parts.containers(pod)[0]["name"]
    named = list(_tcp(pod))
    if annotated is not None:
        return Serving(annotated, next((where for where, _, port in named if port == annotated), first))
    exact = [one for one in named if one[1] == "http"]
    likely = exact or [one for one in named if _is_http(one[1])]
    if likely:
        where, _, port = likely[0]
        others = sorted({other for _, _, other in likely} - {port})
        return Serving(port, where, _several(port, others) if others else "")
    nameless = [one for one in named if not one[1]]
    if len({port for _, _, port in nameless}) == 1 and nameless[0][2] not in _OTHER:
        return Serving(nameless[0][2], nameless[0][0])
    return Serving(0, first)


def _is_http(name: str) -> bool:
    return bool(_HTTP.fullmatch(name)) and not _ASIDE.fullmatch(name)


def _several(port: int, others: list[int]) -> str:
    said = ", ".join(map(str, others))
    return f"the port {port} is taken for the service's; {said} may be meant too: {PREFIX}port says which"


def _tcp(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Container, name and number of each TCP port."""
    for container in parts.containers(pod):
        for port in parts.ports(container):
            number, called = port.get("containerPort"), port.get("name") or ""
            if type(number) is int and 0 < number < 65536 and port.get("protocol") in (None, "TCP"):
                yield container["name"], called if isinstance(called, str) else "", number
