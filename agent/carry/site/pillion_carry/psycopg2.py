"""Statements of psycopg2, and so of SQLAlchemy above it, with the trace in a comment.

Its cursor is written in C and can't be changed, so a connection that has no cursor of its own choice gets a
subclass of it, and those of ``psycopg2.extras`` are patched. Connections of other classes, cursors of other
classes and server-side cursors are left alone.
"""

from __future__ import annotations

from . import context, faults, sql
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

EXTRAS = ("DictCursor", "RealDictCursor", "NamedTupleCursor", "LoggingCursor")


def patch(module: ModuleType) -> None:
    """Patch the way to a connection, or the further cursors."""
    if sql.MODE in sql.OFF:
        return
    if module.__name__ == "psycopg2":
        plain = module.extensions
        cursor = _patched(type("cursor", (plain.cursor,), {"__module__": plain.cursor.__module__}))
        replace(module, "connect", lambda original: _connecting(original, plain.connection, cursor))
    else:
        for name in EXTRAS:
            _patched(getattr(module, name))


def _patched(cursor: Any) -> Any:
    replace(cursor, "execute", lambda original: _executing(original, many=False))
    replace(cursor, "executemany", lambda original: _executing(original, many=True))
    return cursor


def _connecting(original: Callable[..., Any], plain: Any, cursor: Any) -> Callable[..., Any]:
    def connect(*args: Any, **kwargs: Any) -> Any:
        connection = original(*args, **kwargs)
        try:
            if type(connection) is plain and connection.cursor_factory is None:
                connection.cursor_factory = cursor
        except Exception:
            faults.note()
        return connection

    return connect


def _executing(original: Callable[..., Any], many: bool) -> Callable[..., Any]:
    def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            try:
                if self.name is None:
                    values = args[0] if args else kwargs.get("vars")
                    query = sql.traced(self, query, formatted=many or values is not None)
            except Exception:
                faults.note()
        return original(self, query, *args, **kwargs)

    return execute
