"""Statements of psycopg 3, and so of SQLAlchemy above it, with the trace in a comment.

psycopg prepares a statement on the server when it has seen the same text five times. A text with a trace in
it is never seen again, so it is sent unprepared and stays out of psycopg's cache. ``executemany`` always
prepares: once for each call, so such a text takes one of the cache's 100 places until it is the oldest. A
statement that the caller asks to be prepared, server-side cursors and COPY are left alone.
"""

from __future__ import annotations

import os

from . import context, faults, sql
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

MODE = os.environ.get("PILLION_CARRY_SQL", "").strip().lower()
"""``off``, ``sampled`` or anything else for all traces."""


def patch(module: ModuleType) -> None:
    """Patch the cursors' two ways of executing."""
    if MODE in ("off", "0", "false", "no"):
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
            query, kwargs = prepare(self, query, args, kwargs)
        return original(self, query, *args, **kwargs)

    return execute


def _executing_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            query, kwargs = prepare(self, query, args, kwargs)
        return await original(self, query, *args, **kwargs)

    return execute


def _executing_many(original: Callable[..., Any]) -> Callable[..., Any]:
    def executemany(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            query = traced(self, query, formatted=True)
        return original(self, query, *args, **kwargs)

    return executemany


def _executing_many_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def executemany(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            query = traced(self, query, formatted=True)
        return await original(self, query, *args, **kwargs)

    return executemany


def prepare(
    cursor: Any, query: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The query with the trace, and the keywords that keep it out of the cache of prepared statements."""
    if kwargs.get("prepare"):
        return query, kwargs
    params = args[0] if args else kwargs.get("params")
    with_trace = traced(cursor, query, formatted=params is not None)
    return with_trace, kwargs if with_trace is query else {**kwargs, "prepare": False}


def traced(cursor: Any, query: Any, formatted: bool) -> Any:
    """The query with the trace at its end, in the type that it came in; the same object when it stays as it
    is.

    ``formatted``: psycopg will replace placeholders, so a ``%`` must be doubled.
    """
    try:
        carried = context.current()
        text = sql.comment(carried.checked) if carried is not None else ""
        if not text or (MODE == "sampled" and not _sampled(carried)):
            return query
        if "%" in text and formatted and not _is_raw(cursor):
            text = text.replace("%", "%%")
        return _appended(cursor, query, text)
    except Exception:
        faults.note()
        return query


def _is_raw(cursor: Any) -> bool:
    """Whether its placeholders are PostgreSQL's own ($1), so that ``%`` means nothing."""
    return any(kind.__name__ == "RawCursorMixin" for kind in type(cursor).__mro__)


def _sampled(carried: context.Carried | None) -> bool:
    return carried is not None and int(carried.checked.traceparent[-2:], 16) & 1 == 1


def _appended(cursor: Any, query: Any, text: str) -> Any:
    if isinstance(query, str):
        return sql.with_comment(query, text) if sql.writes(query) else query
    if isinstance(query, bytes):
        decoded = query.decode("latin-1")  # any byte is kept; the words looked for are ASCII
        return sql.with_comment(decoded, text).encode("latin-1") if sql.writes(decoded) else query
    as_bytes = getattr(query, "as_bytes", None)  # psycopg.sql's Composable; a template string has none
    return _appended(cursor, as_bytes(cursor), text) if as_bytes else query
