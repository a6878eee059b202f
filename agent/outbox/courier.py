"""Carrying a page over a link: sends what may be sent, takes the answers, and stops the moment that the
lease does."""

import asyncio
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agent.outbox.brokers import Link
from agent.outbox.delivery import Delivery
from agent.outbox.events import Event, RefusedError
from agent.outbox.leases import Lease, LostError
from agent.runtime.errors import Transient

_SAMPLED = 1


class AwayError(Transient):
    """The broker is away or does not answer; what was not acknowledged is sent again later."""


class Courier:
    """The outcomes of one link. ``clock`` returns seconds."""

    def __init__(
        self,
        lease: Lease,
        timeout: float,
        tracer: Tracer | None,
        destination: str,
        clock: Callable[[], float],
    ) -> None:
        self._lease = lease
        self._timeout = timeout
        self._tracer = tracer
        self._destination = destination
        self._clock = clock
        self._link: Link | None = None
        self._delivery = Delivery(())
        self._base = 0
        self._heard = 0.0
        self._gone = ""
        self._settled = asyncio.Event()
        self._spans: dict[int, Span] = {}

    async def carry(self, delivery: Delivery, link: Link) -> None:
        """Send the page and wait for all answers; raises AwayError or LostError. The delivery says how far
        it came."""
        self._base += len(self._delivery.events)
        self._delivery, self._link = delivery, link
        self._settled.clear()
        self._heard = self._clock()
        try:
            for place in delivery.start():
                self._send(place)
            while delivery.in_flight:
                await self._wait()
        finally:
            self._link = None
            for place in list(self._spans):
                self._end(place, "no answer")

    async def _wait(self) -> None:
        self.check()
        try:
            left = self._heard + self._timeout - self._clock()
            async with asyncio.timeout(min(max(left, 0), max(self._lease.left, 0)) + 0.001):
                await self._settled.wait()
        except TimeoutError:
            if self._clock() - self._heard >= self._timeout:
                await self._silence()
        self.check()

    async def _silence(self) -> None:
        # No stream may have the topic while somebody else listens to it: that is the event's trouble, and must
        # not stop the others.
        reason = f"no acknowledgement within {self._timeout:g} s"
        waited = self._delivery.flying
        if self._link is None or not await self._link.answers():
            raise AwayError(reason)
        self.check()
        for place in waited & self._delivery.flying:
            self._fail(
                place, f"{reason}, though the broker answers; does its stream take the topic?", alone=True
            )

    def check(self) -> None:
        """Raise AwayError when the link is gone, LostError when the lease is."""
        if self._gone:
            raise AwayError(self._gone)
        if self._lease.left <= 0:
            raise LostError("the lease ran out before a beat arrived; another relay may have the feed")

    def _send(self, place: int) -> None:
        # Also after the process stood still: what is sent then may be another relay's to send.
        if self._link is None or self._gone:
            return
        if self._lease.left <= 0:
            self._settled.set()
            return
        event = self._delivery.events[place]
        if self._tracer is not None:
            self._begin(place, event)
        try:
            self._link.send(self._base + place, event)
        except RefusedError as error:
            self._refuse(place, str(error))

    def acknowledged(self, number: int) -> None:
        """See ``brokers.Outcomes``."""
        place = number - self._base
        if place < 0 or self._link is None:
            return
        self._heard = self._clock()
        if self._spans:
            self._end(place)
        follower = self._delivery.acknowledge(place)
        if follower is not None:
            self._send(follower)
        if not self._delivery.in_flight:
            self._settled.set()

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        """See ``brokers.Outcomes``."""
        if number >= self._base and self._link is not None:
            self._heard = self._clock()
            self._refuse(number - self._base, reason, own=own)

    def later(self, number: int, reason: str, delay: float = 0.0) -> None:
        """See ``brokers.Outcomes``."""
        if number >= self._base and self._link is not None:
            self._heard = self._clock()
            self._fail(number - self._base, reason, delay)

    def _fail(self, place: int, reason: str, delay: float = 0.0, *, alone: bool = False) -> None:
        self._end(place, reason)
        self._delivery.later(place, reason, delay, alone=alone)
        if not self._delivery.in_flight:
            self._settled.set()

    def _refuse(self, place: int, reason: str, *, own: bool = True) -> None:
        self._end(place, reason)
        self._delivery.refuse(place, reason, own=own)
        if not self._delivery.in_flight:
            self._settled.set()

    def lost(self, reason: str) -> None:
        """See ``brokers.Outcomes``."""
        self._gone = reason
        self._settled.set()

    def _begin(self, place: int, event: Event) -> None:
        if self._tracer is None or not event.traceparent or not int(event.traceparent[53:55], 16) & _SAMPLED:
            return
        parent = TraceContextTextMapPropagator().extract(
            {"traceparent": event.traceparent, "tracestate": event.tracestate}
        )
        if not trace.get_current_span(parent).get_span_context().is_valid:
            return
        attributes = {
            "messaging.system": self._destination,
            "messaging.operation.type": "send",
            "messaging.destination.name": event.topic,
            "messaging.message.id": event.id,
        }
        self._spans[place] = self._tracer.start_span(
            f"send {event.topic}", context=parent, kind=SpanKind.PRODUCER, attributes=attributes
        )

    def _end(self, place: int, problem: str = "") -> None:
        span = self._spans.pop(place, None)
        if span is None:
            return
        if problem:
            span.set_status(Status(StatusCode.ERROR, problem))
        span.end()
