"""Outgoing requests of http.client, and so of urllib, urllib3 and requests."""

from __future__ import annotations

from . import context, faults, headers, mesh
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

INITIALS = headers.INITIALS


def patch(module: ModuleType) -> None:
    """Patch the moment when a request's headers are complete."""
    replace(module.HTTPConnection, "endheaders", _ending)


def _ending(original: Callable[..., Any]) -> Callable[..., Any]:
    def endheaders(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if context.get() is not None:
                add(self)
        except Exception:
            faults.note()
        return original(self, *args, **kwargs)

    return endheaders


def add(connection: Any) -> None:
    """Add what is missing to the request whose lines the connection has gathered."""
    carried = context.current()
    lines = connection._buffer  # noqa: SLF001 the only place that has all headers; held by tests on each Python
    if carried is None or not lines or not _towards_mesh(connection, lines[0]):
        return
    present = {line.partition(b":")[0].lower() for line in lines if line[:1] in INITIALS}
    added = carried.to_send().lines(present)
    if added:
        lines.append(added)


def _towards_mesh(connection: Any, request_line: bytes) -> bool:
    """Behind a proxy the absolute URL names the target, a tunnel leads out, else it is where the connection
    goes.
    """
    if connection._tunnel_host:  # noqa: SLF001
        return False
    target = request_line.split(b" ", 2)[1]
    if not target.startswith((b"/", b"*")):
        return mesh.holds_url(target.decode("latin-1"))
    scheme = "https" if connection.default_port == 443 else "http"
    return mesh.holds(scheme, connection.host, connection.port)
