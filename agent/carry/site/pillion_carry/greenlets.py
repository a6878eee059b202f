"""Handing the context to gevent's greenlets, which are kept apart already and start with none."""

from __future__ import annotations

from . import context, faults
from .threads import carrying, work
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

MAPPING = ("map", "map_async", "imap", "imap_unordered", "apply_async")
"""Ways of giving work to a pool that start the greenlets from another greenlet."""


def patch(module: ModuleType) -> None:
    """Patch gevent's own functions, or its pools; the type Greenlet itself can't be changed."""
    if module.__name__ == "gevent":
        for name, position in (("spawn", 0), ("spawn_raw", 0), ("spawn_later", 1)):
            _put(module, name, position, carrying)
        return
    threads = module.__name__ == "gevent.threadpool"
    owner = module.ThreadPool if threads else module.Group
    for name in ("spawn", *MAPPING):
        _put(owner, name, 1, work if threads else carrying)


def _put(owner: Any, name: str, position: int, around: Callable[..., Any]) -> None:
    replace(owner, name, lambda original: _spawning(original, position, around))


def _spawning(original: Callable[..., Any], position: int, around: Callable[..., Any]) -> Callable[..., Any]:
    def spawn(*args: Any, **kwargs: Any) -> Any:
        try:
            carried = context.lent()
            if carried is not None and len(args) > position and callable(args[position]):
                args = (*args[:position], around(args[position], carried), *args[position + 1 :])
        except Exception:
            faults.note()
        return original(*args, **kwargs)

    return spawn
