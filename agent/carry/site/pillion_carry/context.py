"""What the current request carries, in a context variable of its own beside the service's."""

from __future__ import annotations

import os
import sys
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

    __slots__ = ("_checked", "_raw", "finished", "origin")

    def __init__(self, traceparent: str, tracestate: str, baggage: str, request_id: str) -> None:
        self._raw = (traceparent, tracestate, baggage, request_id)
        self._checked: headers.Checked | None = None
        self.finished: float | None = None
        """When the response was sent, on the clock of ``monotonic``."""
        self.origin: Carried = self
        """The request that this belongs to: itself, or that of the work it was kept for."""

    @property
    def checked(self) -> headers.Checked:
        """The headers that are valid; two threads may both compute it, with the same result."""
        if self._checked is None:
            self._checked = headers.check(*self._raw)
        return self._checked

    def to_send(self) -> headers.Checked:
        """What goes out: the incoming headers, with the service's own span as the parent where it has one."""
        return own_span(self.checked) if "opentelemetry.trace" in sys.modules else self.checked

    def kept(self) -> Carried:
        """The same headers for work that was certainly given by the request, however late it runs."""
        kept = Carried(*self._raw)
        kept._checked = self._checked
        kept.origin = self.origin
        return kept


def own_span(checked: headers.Checked) -> headers.Checked:
    """The headers with the span that the service's own OpenTelemetry is in; the same ones outside of a span.

    A library that the service's instrumentation does not know calls in that span all the same.
    """
    span = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    if not span.is_valid:
        return checked
    parent = "00-%032x-%016x-%02x" % (span.trace_id, span.span_id, span.trace_flags)
    state = span.trace_state.to_header() if span.trace_state else ""
    return headers.check(parent, state, checked.baggage, checked.request_id)


_now: ContextVar[Carried | None] = ContextVar("pillion_carried", default=None)

get = _now.get
"""What is set here, also when it has lapsed."""
put = _now.set
"""Replace it; callers put back what ``get`` gave before. Tokens would fail in another context."""


loose: ContextVar[bool] = ContextVar("pillion_carried_loose", default=False)
"""Whether this is a thread or greenlet that a request started for itself, and no server's."""


def current() -> Carried | None:
    """What the running request carries; None outside requests and when its time is over."""
    carried = get()
    if carried is None or carried.finished is None or monotonic() - carried.finished < LINGER:
        return carried
    return None


def lent() -> Carried | None:
    """What work that is given away now may carry.

    None also when the request that it all began with is long over: work that gives itself again would carry it
    for ever.
    """
    carried = current()
    if carried is None:
        return None
    finished = carried.origin.finished
    return carried if finished is None or monotonic() - finished < LINGER else None


def _forget() -> None:
    put(None)


# A forked process may be a worker for all later requests, and the other ways to start one could carry nothing.
os.register_at_fork(after_in_child=_forget)
