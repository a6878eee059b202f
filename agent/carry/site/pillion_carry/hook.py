"""Patching modules when the service imports them. Every Python process pays for importing this."""

from __future__ import annotations

import sys

from . import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

PATCHES = {
    "gunicorn.workers.base": "wsgi",
    "gunicorn.workers.gasgi": "wsgi",
    "werkzeug.serving": "wsgi",
    "wsgiref.simple_server": "wsgi",
    "waitress.server": "wsgi",
    "gevent.pywsgi": "wsgi",
    "flask.app": "wsgi",
    "django.core.handlers.wsgi": "wsgi",
    "uvicorn.config": "asgi",
    "http.client": "http_client",
    "httpcore": "httpcore",
    "aiohttp.client_reqrep": "aiohttp",
    "threading": "threads",
    "concurrent.futures.thread": "threads",
    "multiprocessing.pool": "threads",
    "queue": "queues",
    "gevent": "greenlets",
    "gevent.pool": "greenlets",
    "gevent.queue": "queues",
    "gevent.threadpool": "greenlets",
    "psycopg.cursor": "psycopg",
    "psycopg.cursor_async": "psycopg",
    "psycopg2": "psycopg2",
    "psycopg2.extras": "psycopg2",
    "asyncpg.connection": "asyncpg",
    "sqlalchemy.dialects.postgresql.asyncpg": "asyncpg",
    "opentelemetry.instrumentation.auto_instrumentation": "launchers",
}
"""The module that is patched, and the module here whose ``patch(module)`` does it."""


class Finder:
    """A finder that finds nothing itself: for the modules above it lends the real loader an ear."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The real spec with a loader that patches after loading; None leaves the module to the others."""
        if name not in PATCHES:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                loader: Any = spec.loader
                if hasattr(loader, "exec_module"):
                    loader = PatchingLoader(loader)
                    spec.loader = loader
                return spec
        return None


class PatchingLoader:
    """The real loader in all it is asked, until the module is there."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the real loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Load as the real loader does and put it back in its place, then patch."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            patch(spec.name if spec is not None else module.__name__, module)
        except Exception:
            faults.note()


def patch(name: str, module: ModuleType) -> None:
    """Apply our patch to the module loaded by this name; gevent gives some another.

    Raises what a library that looks different than expected brings.
    """
    __import__(f"{__package__}.{PATCHES[name]}", fromlist=["patch"]).patch(module)


def install(meta_path: list[Any]) -> None:
    """Watch imports from now on; what is there already is patched at once."""
    if any(type(finder).__name__ == "Finder" and type(finder).__module__ == __name__ for finder in meta_path):
        return
    meta_path.insert(0, Finder())
    for name in PATCHES:
        module = sys.modules.get(name)
        if module is not None:
            try:
                patch(name, module)
            except Exception:
                faults.note()
