"""Incoming requests at the WSGI boundary.

Servers are patched where they take the application, so that middleware around it is covered too; Flask and
Django also at their own entry, for servers written in C (uWSGI, mod_wsgi). The outermost of them notes the
request.
"""

from __future__ import annotations

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
"""Response header that tells the sidecar that the hook is there; the sidecar removes it."""

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
        if kwargs or len(args) != 2:
            return original(self, *args, **kwargs)
        return run(lambda environ, start: original(self, environ, start), *args)

    return call


class Application:
    """A WSGI application with the hook around it; in all else the application itself."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 2:
            return self._application(*args, **kwargs)
        return run(self._application, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)


def run(application: Callable[..., Any], environ: Any, start_response: Any) -> Any:
    """Call the application with the request's context, which also holds while its body is made, and never
    after.
    """
    carried = noted(environ)
    if carried is None:
        return application(environ, start_response)
    before = context.get()
    context.put(carried)
    try:
        body = application(environ, _telling(start_response))
    except BaseException:
        carried.finish()
        raise
    finally:
        context.put(before)
    return _surrounded(body, carried, environ)


def noted(environ: Any) -> context.Carried | None:
    """What the request carries; None when an outer boundary noted it, or when this is no environ at all."""
    try:
        if NOTED in environ:
            return None
        environ[NOTED] = "1"
        get = environ.get
        return context.Carried(
            get("HTTP_TRACEPARENT", ""),
            get("HTTP_TRACESTATE", ""),
            get("HTTP_BAGGAGE", ""),
            get("HTTP_X_REQUEST_ID", ""),
        )
    except Exception:
        faults.note()
        return None


def _telling(start_response: Any) -> Any:
    def start(status: Any, headers: Any, *exc_info: Any) -> Any:
        if type(headers) is list:
            headers = [*headers, PRESENCE]
        return start_response(status, headers, *exc_info)

    return start


def _surrounded(body: Any, carried: context.Carried, environ: Any) -> Any:
    """The body, in a shell if making it may run code of the service; a file stays a file for the server's
    sendfile.
    """
    try:
        if type(body) in (list, tuple) or _is_file(body, environ):
            carried.finish()
            return body
        return SizedBody(body, carried) if hasattr(body, "__len__") else Body(body, carried)
    except Exception:
        faults.note()
        return body


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
            self._next = self._within(self._iterate)
        return self

    def __next__(self) -> Any:
        if self._next is None:
            self._next = self._within(self._iterate)
        return self._within(self._next)

    def close(self) -> None:
        """The server's word that the request is over."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._within(close)
        finally:
            self._carried.finish()

    def _iterate(self) -> Any:
        return iter(self._body).__next__

    def _within(self, step: Callable[[], Any]) -> Any:
        before = context.get()
        context.put(self._carried)
        try:
            return step()
        finally:
            context.put(before)


class SizedBody(Body):
    """A body of which servers ask the length, to set Content-Length."""

    def __len__(self) -> int:
        return len(self._body)
