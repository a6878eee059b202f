"""Threads that take their work from a queue, and were started by whichever request came first.

Such a thread began with that request's context. It gives it up for good with the first item that is not that
request's own: one that comes when the request is over, or from a queue that others put into as well. Only
``queue.Queue`` itself is looked at; its subclasses are what libraries keep their connections in.
"""

from __future__ import annotations

from . import context, faults
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

SHARED = object()
"""Marks a queue that more than one request, or something outside of requests, has put into."""
MARK = "_pillion_carry"


def patch(module: ModuleType) -> None:
    """Patch the queues of threads, or gevent's, which take their place."""
    if module.__name__ != "queue":
        vars(module)["Queue"] = _open(module.Queue)
    plain = module.Queue
    replace(plain, "put", lambda original: _putting(original, plain))
    replace(plain, "get", lambda original: _getting(original, plain))


def _open(base: Any) -> Any:
    """A class in the place of one that can't be changed: in all tests of types the same."""

    class Kind(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, base) if cls is made else type.__instancecheck__(cls, instance)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, base) if cls is made else type.__subclasscheck__(cls, subclass)

    made: Any = Kind(base.__name__, (base,), {"__module__": base.__module__, "__doc__": base.__doc__})
    return made


def _putting(original: Callable[..., Any], plain: type) -> Callable[..., Any]:
    def put(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self) is plain:
            try:
                mark(self.__dict__)  # before the item can be taken
            except Exception:
                faults.note()
        return original(self, *args, **kwargs)

    return put


def _getting(original: Callable[..., Any], plain: type) -> Callable[..., Any]:
    get, put, is_loose = context.get, context.put, context.loose.get

    def take(self: Any, *args: Any, **kwargs: Any) -> Any:
        item = original(self, *args, **kwargs)
        carried = get()
        if carried is not None and type(self) is plain and is_loose():
            try:
                foreign = is_foreign(self.__dict__, carried)
            except Exception:
                faults.note()
                foreign = True
            if foreign:
                put(None)
        return item

    return take


def mark(attributes: dict[str, Any]) -> None:
    """Note on the queue whose item comes."""
    carried = context.get()
    origin = None if carried is None else carried.origin
    known = attributes.get(MARK, MARK)
    if known is MARK:
        attributes[MARK] = origin
    elif known is not origin:
        attributes[MARK] = SHARED


def is_foreign(attributes: dict[str, Any], carried: context.Carried) -> bool:
    """Whether an item just taken may be another's than the one that is carried here."""
    return carried.finished is not None or attributes.get(MARK) is not carried.origin
