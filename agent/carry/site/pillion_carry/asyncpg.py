"""Statements of asyncpg, and of SQLAlchemy above it, with the trace in a comment: only with PILLION_CARRY_ASYNCPG.

asyncpg prepares every statement and keeps it by its text. One with a trace in it is never seen again, so it costs
a preparation each time, several times what the statement itself may cost.
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

ON = frozenset(("on", "1", "true", "yes"))


def patch(module: ModuleType) -> None:
    """Patch the connection's ways of executing, or those of SQLAlchemy's cursor, which prepares by itself."""
    if os.environ.get("PILLION_CARRY_ASYNCPG", "").strip().lower() not in ON or sql.MODE in sql.OFF:
        return
    if module.__name__ == "asyncpg.connection":
        for name in ("execute", "executemany", "_execute"):
            replace(module.Connection, name, _executing)
    else:
        for name in ("_prepare_and_execute", "_executemany"):
            replace(module.AsyncAdapt_asyncpg_cursor, name, _executing)


def _executing(original: Callable[..., Any]) -> Callable[..., Any]:
    async def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if context.get() is not None:
            try:
                query = sql.traced(self, query, formatted=False)
            except Exception:
                faults.note()
        return await original(self, query, *args, **kwargs)

    return execute
