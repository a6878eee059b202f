"""Handing the context to threads and executors that a request uses.

Only our own variable is handed on, never a copy of the whole context: that would change what the service sees
in its threads (Flask's ``current_app``, a database session).
"""

from __future__ import annotations

from time import monotonic

from . import context, faults
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

MAPPING = ("apply_async", "_map_async", "imap", "imap_unordered")
"""What all of a ThreadPool's ways of giving work come down to."""


def patch(module: ModuleType) -> None:
    """Patch threads, the executor of threads, or multiprocessing's pool of threads."""
    if module.__name__ == "threading":
        replace(module.Thread, "start", _starting)
    elif module.__name__ == "multiprocessing.pool":
        replace(module.ThreadPool, "__init__", _alone)
        for name in MAPPING:
            replace(module.ThreadPool, name, _giving)
    else:
        replace(module.ThreadPoolExecutor, "submit", _giving)


def _starting(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            carried = context.lent()
            lent = carried is not None and _lend(self, carried)
        except Exception:
            faults.note()
            lent = False
        if not lent:
            return original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        except BaseException:
            self.__dict__.pop("run", None)  # it did not start
            raise

    return start


def _lend(thread: Any, carried: context.Carried) -> bool:
    """Let the thread's run have the context, until it lapses; False when the thread is left alone."""
    if "run" in thread.__dict__ or thread.ident is not None:
        return False
    thread.run = _lent(thread, thread.run, carried)
    return True


def _lent(thread: Any, run: Callable[[], Any], carried: context.Carried) -> Callable[[], Any]:
    put, loosen = context.put, context.loose.set

    def lent() -> None:
        put(carried)
        loosen(True)
        try:
            run()
        finally:
            thread.__dict__.pop("run", None)  # else thread and function keep each other alive

    return lent


def _giving(original: Callable[..., Any]) -> Callable[..., Any]:
    """For methods whose first argument is a function that some worker calls."""
    get, put = context.get, context.put

    def give(*args: Any, **kwargs: Any) -> Any:
        before = get()
        if before is None:
            return original(*args, **kwargs)
        try:
            args = _given(args, context.lent())
        except Exception:
            faults.note()
        put(None)  # the worker that this may start serves all requests
        try:
            return original(*args, **kwargs)
        finally:
            put(before)

    return give


def _alone(original: Callable[..., Any]) -> Callable[..., Any]:
    """For what starts workers that serve all requests."""
    get, put = context.get, context.put

    def init(*args: Any, **kwargs: Any) -> Any:
        before = get()
        put(None)
        try:
            return original(*args, **kwargs)
        finally:
            put(before)

    return init


def _given(args: tuple[Any, ...], carried: context.Carried | None) -> tuple[Any, ...]:
    """The arguments, their function carrying; the executor is the first of them."""
    if carried is None or len(args) < 2 or not callable(args[1]):
        return args
    return (args[0], work(args[1], carried), *args[2:])


def work(function: Callable[..., Any], carried: context.Carried) -> Callable[..., Any]:
    """The function as work of a request: it carries however late it is called, what it leaves behind only for a
    while.
    """
    get, put = context.get, context.put

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            own = carried.kept()
        except Exception:
            faults.note()
            return function(*args, **kwargs)
        before = get()
        put(own)
        try:
            return function(*args, **kwargs)
        finally:
            own.finished = monotonic()
            put(before)

    return call


def carrying(function: Callable[..., Any], carried: context.Carried) -> Callable[..., Any]:
    """The function for a greenlet of its own, in the given context until that lapses."""
    get, put, loosen = context.get, context.put, context.loose.set

    def call(*args: Any, **kwargs: Any) -> Any:
        before = get()
        put(carried)
        loosen(True)
        try:
            return function(*args, **kwargs)
        finally:
            put(before)

    return call
