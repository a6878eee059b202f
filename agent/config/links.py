"""Kubernetes' service-link variables, which look like settings when a Service is called ``pillion`` or
``pillion-…``.

For each Service of the namespace a container gets ``NAME_SERVICE_HOST``, ``NAME_SERVICE_PORT``,
``NAME_SERVICE_PORT_<PORT NAME>``, ``NAME_PORT=tcp://10.0.0.1:80``, ``NAME_PORT_80_TCP…``
(https://kubernetes.io/docs/concepts/services-networking/service/). ``PILLION_SERVICE_HOST`` and
``PILLION_SERVICE_PORT`` are also settings of ours. They are taken as links only when ``PILLION_PORT`` says
the very same address: a value that the operator wrote in the manifest replaces the link's, so it differs."""

import re
from collections.abc import Mapping

from agent.config.fields import PREFIX

_LINK = re.compile(r"(?:tcp|udp|sctp)://\[?([0-9A-Za-z.:-]+?)\]?:([0-9]{1,5})")


def links(environ: Mapping[str, str]) -> frozenset[str]:
    """The names of the ``PILLION_`` variables that are service links."""
    found: set[str] = set()
    for name, value in environ.items():
        match = _LINK.fullmatch(value) if name.startswith(PREFIX) and name.endswith("_PORT") else None
        if match is None:
            continue
        service = name.removesuffix("_PORT")
        found |= {other for other in environ if _belongs(other, service, match[1], match[2], environ)}
    return frozenset(found)


def _belongs(name: str, service: str, host: str, port: str, environ: Mapping[str, str]) -> bool:
    if not name.startswith(f"{service}_"):
        return False
    rest = name.removeprefix(f"{service}_")
    if rest == "SERVICE_HOST":
        return environ[name] == host
    if rest == "SERVICE_PORT":
        return environ[name] == port
    return (
        rest == "PORT"
        or re.fullmatch(r"SERVICE_PORT_[A-Z0-9_]+|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?", rest)
        is not None
    )
