"""Whether a request goes into the mesh: nobody else is told about our traces and request ids."""

from __future__ import annotations

import os
import re
from functools import lru_cache

NAME = re.compile(
    r"(?!(?:localhost|metadata|instance-data)$)(?![0-9]+$|0x[0-9a-f]+$)"  # neither reserved nor an address
    r"[a-z0-9-]{1,63}"
    r"|(?:[a-z0-9-]{1,63}\.)+service(?:\.[a-z0-9-]{1,63})?\.consul"
    r"|[a-z0-9-]{1,63}\.pillion"
    r"|[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}\.svc(?:\.cluster\.local)?"
)
LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


def ports(value: str) -> frozenset[int]:
    """The local ports of a comma-separated list; what is no number is left out."""
    return frozenset(int(part) for part in value.split(",") if part.strip().isdecimal())


PORTS = ports(os.environ.get("PILLION_CARRY_PORTS", ""))
"""Local ports that lead into the mesh; they do not change while the service runs."""


@lru_cache(maxsize=256)
def holds(scheme: str, host: str, port: int) -> bool:
    """Whether a request to this host goes to a sidecar or a registered service.

    TLS is never ours: it goes through a CONNECT tunnel or straight out.
    """
    if scheme != "http":
        return False
    host = host.lower().rstrip(".")
    if LOOPBACK.fullmatch(host):
        return port in PORTS
    return len(host) <= 253 and NAME.fullmatch(host) is not None


def holds_url(url: str) -> bool:
    """The same for an absolute URL, as a proxy's request line has it."""
    scheme, _, rest = url.partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    host, colon, port = rest.rpartition("@")[2].rpartition(":")
    if not colon:
        host, port = port, ""
    if port and not port.isdecimal():
        return False
    return holds(scheme.lower(), host.strip("[]"), int(port) if port else 80)
