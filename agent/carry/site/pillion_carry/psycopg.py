"""Statements of psycopg 3, and so of SQLAlchemy above it, with the trace in a comment.

psycopg prepares a statement on the server when it has seen the same text five times. A text with a trace in
it is never seen again, so it is sent unprepared and stays out of psycopg's cache. ``executemany`` always
prepares: once for each call, so such a text takes one of the cache's 100 places until it is the oldest. A
statement that the caller asks to be prepared, server-side cursors, ``stream`` and COPY are left alone.
"""

from __future__ import annotations

from . import context, faults, sql
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Patch the cursors' two ways of executing."""
    if sql.MODE in sql.OFF:
        return
    if module.__name__ == "psycopg.cursor":
        replace(module.Cursor, "execute", _executing)
        replace(module.Cursor, "executemany", _executing_many)
    else:
        replace(module.AsyncCursor, "execute", _executing_async)
        replace(module.AsyncCursor, "executemany", _executing_many_async)


def _executing(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            try:
                query, kwargs = prepare(self, query, args, kwargs)
            except Exception:
                faults.note()
        return original(self, query, *args, **kwargs)

    return execute


def _executing_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            try:
                query, kwargs = prepare(self, query, args, kwargs)
            except Exception:
                faults.note()
        return await original(self, query, *args, **kwargs)

    return execute


def _executing_many(original: Callable[..., Any]) -> Callable[..., Any]:
    def executemany(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            try:
                query = sql.traced(self, query, formatted=not _is_raw(self))
            except Exception:
                faults.note()
        return original(self, query, *args, **kwargs)

    return executemany


def _executing_many_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def executemany(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            try:
                query = sql.traced(self, query, formatted=not _is_raw(self))
            except Exception:
                faults.note()
        return await original(self, query, *args, **kwargs)

    return executemany


def prepare(
    cursor: Any, query: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The query with the trace, and the keywords that keep it out of the cache of prepared statements."""
    if kwargs.get("prepare"):
        return query, kwargs
    params = args[0] if args else kwargs.get("params")
    with_trace = sql.traced(cursor, query, formatted=params is not None and not _is_raw(cursor))
    return with_trace, kwargs if with_trace is query else {**kwargs, "prepare": False}


def _is_raw(cursor: Any) -> bool:
    """Whether its placeholders are PostgreSQL's own ($1), so that ``%`` means nothing."""
    return any(kind.__name__ == "RawCursorMixin" for kind in type(cursor).__mro__)
