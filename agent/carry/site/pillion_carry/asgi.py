"""Incoming requests at the ASGI boundary: gunicorn's own ASGI worker and uvicorn."""

from __future__ import annotations

from inspect import iscoroutinefunction
from time import monotonic

from . import context, faults
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

NOTED = "pillion.carry"
PRESENCE = (b"x-pillion-carry", b"1")
NAMES = (b"traceparent", b"tracestate", b"baggage", b"x-request-id")


def patch(module: ModuleType) -> None:
    """Patch uvicorn where it has loaded the application."""
    replace(module.Config, "load", _loading)


def _loading(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            self.loaded_app = wrapped(self.loaded_app)
        except Exception:
            faults.note()
        return result

    return load


def is_application(application: Any) -> bool:
    """Whether it is an ASGI 3 application: a coroutine function, or an object that is called as one."""
    return iscoroutinefunction(application) or iscoroutinefunction(getattr(application, "__call__", None))  # noqa: B004


def wrapped(application: Any) -> Any:
    """The application with the hook around it."""
    get, put = context.get, context.put

    async def run(scope: Any, receive: Any, send: Any) -> Any:
        try:
            carried = noted(scope)
            if carried is not None:
                send = _telling(send)
        except Exception:
            faults.note()
            carried = None
        if carried is None:
            return await application(scope, receive, send)
        before = get()
        put(carried)
        try:
            return await application(scope, receive, send)
        finally:
            carried.finished = monotonic()
            put(before)

    return run


def noted(scope: Any) -> context.Carried | None:
    """What the request carries; None when it was noted already or is no request."""
    if scope["type"] not in ("http", "websocket") or NOTED in scope:
        return None
    scope[NOTED] = True
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        lowered = name.lower()
        if lowered in NAMES:
            text = value.decode("latin-1")
            found[lowered] = found[lowered] + "," + text if lowered in found else text
    return context.Carried(*(found.get(name, "") for name in NAMES))


def _telling(send: Any) -> Any:
    async def tell(message: Any) -> Any:
        try:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                # An adapter for WSGI makes an environ of its own, for which Flask's entry has told it already.
                if PRESENCE not in given:
                    message = {**message, "headers": [*given, PRESENCE]}
        except Exception:
            faults.note()
        return await send(message)

    return tell
