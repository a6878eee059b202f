"""Outgoing requests of aiohttp's client; each hop of a redirect is a request of its own."""

from __future__ import annotations

from . import context, faults, mesh
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Patch the moment when a request is written to its connection."""
    replace(module.ClientRequest, "send", _sending)


def _sending(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            prepare(self)
        except Exception:
            faults.note()
        return await original(self, *args, **kwargs)

    return send


def prepare(request: Any) -> None:
    """Add what is missing to a request towards the mesh; CONNECT opens a tunnel, which leads out."""
    carried = context.current()
    url = request.url
    if carried is None or request.method == "CONNECT" or not url.host:
        return
    if not mesh.holds(url.scheme, url.host, url.port or 80):
        return
    present = {name.lower() for name in request.headers}
    for name, value in carried.to_send().missing(present):
        request.headers[name] = value
