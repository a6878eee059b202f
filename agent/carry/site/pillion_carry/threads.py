"""Handing the context to threads and executors that a request uses.

Only our own variable is handed on, never a copy of the whole context: that would change what the service sees
in its threads (Flask's ``current_app``, a database session).
"""

from __future__ import annotations

from . import context, faults
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Patch threads, or the executor of threads."""
    if module.__name__ == "threading":
        replace(module.Thread, "start", _starting)
    else:
        replace(module.ThreadPoolExecutor, "submit", _submitting)


def _starting(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        carried = context.get()
        if carried is None or not _lend(self, carried):
            return original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        except BaseException:
            self.__dict__.pop("run", None)  # it did not start
            raise

    return start


def _lend(thread: Any, carried: context.Carried) -> bool:
    """Let the thread's run have the context, until it lapses; False when the thread is left alone."""
    try:
        if "run" in thread.__dict__ or thread.ident is not None:
            return False
        thread.run = _lent(thread, thread.run, carried)
        return True
    except Exception:
        faults.note()
        return False


def _lent(thread: Any, run: Callable[[], Any], carried: context.Carried) -> Callable[[], Any]:
    def lent() -> None:
        context.put(carried)
        try:
            run()
        finally:
            thread.__dict__.pop("run", None)  # else thread and function keep each other alive

    return lent


def _submitting(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(*args: Any, **kwargs: Any) -> Any:
        carried = context.get()
        if carried is None:
            return original(*args, **kwargs)
        context.put(None)  # the worker that this may start serves all requests
        try:
            return original(*_given(args, carried), **kwargs)
        finally:
            context.put(carried)

    return submit


def _given(args: tuple[Any, ...], carried: context.Carried) -> tuple[Any, ...]:
    """The arguments of a submit, its function carrying; the executor is the first of them."""
    try:
        if len(args) < 2 or not callable(args[1]):
            return args
        return (args[0], carrying(args[1], carried.kept()), *args[2:])
    except Exception:
        faults.note()
        return args


def carrying(function: Callable[..., Any], carried: context.Carried) -> Callable[..., Any]:
    """The function, run in the given context wherever it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        before = context.get()
        context.put(carried)
        try:
            return function(*args, **kwargs)
        finally:
            context.put(before)

    return call
