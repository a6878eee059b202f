"""Outgoing requests of httpx, at httpcore: below redirects, so that no hop inherits our headers."""

from __future__ import annotations

from . import context, faults, headers, mesh
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Patch both connection pools; proxies are pools too."""
    replace(module.ConnectionPool, "handle_request", _handling)
    replace(module.AsyncConnectionPool, "handle_async_request", _handling_async)


def _handling(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_request(self: Any, request: Any) -> Any:
        try:
            prepare(request)
        except Exception:
            faults.note()
        return original(self, request)

    return handle_request


def _handling_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_async_request(self: Any, request: Any) -> Any:
        try:
            prepare(request)
        except Exception:
            faults.note()
        return await original(self, request)

    return handle_async_request


def prepare(request: Any) -> None:
    """Add what is missing to a request towards the mesh."""
    carried = context.current()
    if carried is None:
        return
    url = request.url
    scheme = url.scheme.decode("latin-1")
    if not mesh.holds(scheme, url.host.decode("latin-1"), url.port or 80):
        return
    present = {name.lower() for name, _ in request.headers if name[:1] in headers.INITIALS}
    request.headers = [*request.headers, *carried.to_send().encoded(present)]
