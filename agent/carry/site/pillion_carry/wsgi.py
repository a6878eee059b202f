"""Incoming requests at the WSGI boundary.

Servers are patched where they take the application, so that middleware around it is covered too; Flask and
Django also at their own entry, for servers written in C (uWSGI, mod_wsgi). The outermost of them notes the
request.

What runs around the service's own code calls nothing that could fail, except in a ``try`` of its own.
"""

from __future__ import annotations

from time import monotonic

from . import asgi, context, faults
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

NOTED = "pillion.carry"
"""Environ key (and ASGI scope key) of a request that was noted already."""
PRESENCE = ("x-pillion-carry", "1")
"""Response header that tells the sidecar that the hook is there; the sidecar counts and removes it."""

SERVERS = {
    # module: class, method after which the class holds the application, attribute that holds it
    "gunicorn.workers.base": ("Worker", "load_wsgi", "wsgi"),
    "gunicorn.workers.gasgi": ("ASGIWorker", "load_wsgi", "asgi"),
    "werkzeug.serving": ("BaseWSGIServer", "__init__", "app"),
    "wsgiref.simple_server": ("WSGIServer", "set_app", "application"),
    "waitress.server": ("BaseWSGIServer", "__init__", "application"),
    "gevent.pywsgi": ("WSGIServer", "__init__", "application"),
}
FRAMEWORKS = {"flask.app": "Flask", "django.core.handlers.wsgi": "WSGIHandler"}

get, put = context.get, context.put


def patch(module: ModuleType) -> None:
    """Patch one of the servers or frameworks above."""
    if module.__name__ in FRAMEWORKS:
        replace(getattr(module, FRAMEWORKS[module.__name__]), "__call__", _entry)
    else:
        owner, method, attribute = SERVERS[module.__name__]
        replace(getattr(module, owner), method, lambda original: _taking(original, attribute))


def _taking(original: Callable[..., Any], attribute: str) -> Callable[..., Any]:
    def take(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            application = getattr(self, attribute, None)
            by_type = "tornado" in type(self).__module__  # that worker tells applications apart by their type
            if application is not None and not by_type:
                setattr(self, attribute, wrapped(application))
        except Exception:
            faults.note()
        return result

    return take


def wrapped(application: Any) -> Any:
    """The application with the hook around it; what can't be one stays as it is."""
    if not callable(application) or isinstance(application, Application):
        return application
    if asgi.is_application(application):
        return asgi.wrapped(application)
    return Application(application)


def _entry(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 2 or not isinstance(args[0], dict) or NOTED in args[0]:
            return original(self, *args, **kwargs)
        return Application(lambda environ, start: original(self, environ, start))(*args)

    return call


class Application:
    """A WSGI application with the hook around it; in all else the application itself.

    The request's context holds during the call and while its body is made, and never after.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            carried = None if kwargs or len(args) != 2 else noted(args[0])
            if carried is not None:
                args = (args[0], _telling(args[1]))
        except Exception:
            faults.note()
            carried = None
        if carried is None:
            return self._application(*args, **kwargs)
        before = get()
        put(carried)
        try:
            body = self._application(*args)
        except BaseException:
            carried.finished = monotonic()
            raise
        finally:
            put(before)
        try:
            return _surrounded(body, carried, args[0])
        except Exception:
            faults.note()
            carried.finished = monotonic()
            return body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)


def noted(environ: Any) -> context.Carried | None:
    """What the request carries; None when an outer boundary noted it."""
    if NOTED in environ:
        return None
    environ[NOTED] = "1"
    take = environ.get
    return context.Carried(
        take("HTTP_TRACEPARENT", ""),
        take("HTTP_TRACESTATE", ""),
        take("HTTP_BAGGAGE", ""),
        take("HTTP_X_REQUEST_ID", ""),
    )


def _telling(start_response: Any) -> Any:
    def start(status: Any, headers: Any, *args: Any, **kwargs: Any) -> Any:
        if type(headers) is list:
            headers = [*headers, PRESENCE]
        return start_response(status, headers, *args, **kwargs)

    return start


def _surrounded(body: Any, carried: context.Carried, environ: Any) -> Any:
    """The body, in a shell if making it may run code of the service; a file stays a file for the server's
    sendfile.
    """
    if type(body) in (list, tuple) or _is_file(body, environ):
        carried.finished = monotonic()
        return body
    return SizedBody(body, carried) if hasattr(body, "__len__") else Body(body, carried)


def _is_file(body: Any, environ: Any) -> bool:
    kind = environ.get("wsgi.file_wrapper")
    return isinstance(kind, type) and isinstance(body, kind)


class Body:
    """A response body whose every step runs in its request's context, wherever the server takes it."""

    def __init__(self, body: Any, carried: context.Carried) -> None:
        self._body = body
        self._carried = carried
        self._next: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __iter__(self) -> Iterator[Any]:
        if self._next is None:
            before = get()
            put(self._carried)
            try:
                self._next = iter(self._body).__next__
            finally:
                put(before)
        return self

    def __next__(self) -> Any:
        if self._next is None:
            iter(self)
        before = get()
        put(self._carried)
        try:
            return self._next()
        except BaseException:
            self._carried.finished = monotonic()  # its end, or the server's client is gone
            raise
        finally:
            put(before)

    def close(self) -> None:
        """The server's word that the request is over."""
        before = get()
        put(self._carried)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            put(before)
            self._carried.finished = monotonic()


class SizedBody(Body):
    """A body of which servers ask the length, to set Content-Length."""

    def __len__(self) -> int:
        return len(self._body)
