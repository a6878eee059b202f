"""Handing the context to gevent's greenlets, which are kept apart already and start with none."""

from __future__ import annotations

from . import context
from .threads import carrying
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Patch gevent's own functions, or its pools; the type Greenlet itself can't be changed."""
    if module.__name__ == "gevent":
        replace(module, "spawn", lambda original: _spawning(original, 0))
        replace(module, "spawn_raw", lambda original: _spawning(original, 0))
        replace(module, "spawn_later", lambda original: _spawning(original, 1))
    else:
        replace(module.Group, "spawn", lambda original: _spawning(original, 1))


def _spawning(original: Callable[..., Any], position: int) -> Callable[..., Any]:
    def spawn(*args: Any, **kwargs: Any) -> Any:
        carried = context.get()
        if carried is None or len(args) <= position or not callable(args[position]):
            return original(*args, **kwargs)
        given = carrying(args[position], carried)
        return original(*args[:position], given, *args[position + 1 :], **kwargs)

    return spawn
