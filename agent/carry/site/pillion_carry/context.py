"""What the current request carries, in a context variable of its own beside the service's."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic

from . import headers

LINGER = 30.0
"""Seconds for which what a request left running still carries its context. Threads and tasks started in a
request are often its own work, but may also be a worker made on first use that serves all later requests;
it must not answer for the first one for ever."""


class Carried:
    """The four headers of one incoming request. They are checked when first needed: most requests call
    nobody.
    """

    __slots__ = ("_checked", "_raw", "finished")

    def __init__(self, traceparent: str, tracestate: str, baggage: str, request_id: str) -> None:
        self._raw = (traceparent, tracestate, baggage, request_id)
        self._checked: headers.Checked | None = None
        self.finished: float | None = None

    @property
    def checked(self) -> headers.Checked:
        """The headers that are valid; two threads may both compute it, with the same result."""
        if self._checked is None:
            self._checked = headers.check(*self._raw)
        return self._checked

    def finish(self) -> None:
        """The response was sent."""
        self.finished = monotonic()

    def kept(self) -> Carried:
        """The same headers for work that was certainly given by the request, however late it runs."""
        return Carried(*self._raw)


_now: ContextVar[Carried | None] = ContextVar("pillion_carried", default=None)

get = _now.get
"""What is set here, also when it has lapsed."""
put = _now.set
"""Replace it; callers put back what ``get`` gave before. Tokens would fail in another context."""


def current() -> Carried | None:
    """What the running request carries; None outside requests and when its time is over."""
    carried = get()
    if carried is None or carried.finished is None or monotonic() - carried.finished < LINGER:
        return carried
    return None
