"""Posts a message to the service, and judges its answer.

Not through Envoy's inbound: messages also come while the instance is not registered yet or drains, the limits, versions
and retries that are set for callers are not meant for them, and a second try must be the inbox's own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from yarl import URL

from agent.outbox.inbox.message import Message
from agent.outbox.inbox.verdict import Kind, Verdict, judge

LONGEST = 65536
"""Bytes of an answer that are looked at."""

_TRACE = TraceContextTextMapPropagator()


class Poster:
    """Asks one service."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, timeout: float, source: str, tracer: Tracer | None
    ) -> None:
        """``base`` is the service's address, ``http://HOST:PORT``; ``timeout`` in seconds; ``source`` names the
        broker in spans."""
        self._session = session
        self._base = base
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._seconds = timeout
        self._source = source
        self._tracer = tracer

    async def post(self, message: Message, path: str, topic: str) -> Verdict:
        """One try."""
        headers = dict(message.headers)
        span = self._begin(message, topic, headers)
        verdict = await self._ask(message, path, headers)
        if span is not None:
            if verdict.kind is not Kind.DONE:
                span.set_status(Status(StatusCode.ERROR, verdict.reason))
            span.end()
        return verdict

    async def _ask(self, message: Message, path: str, headers: dict[str, str]) -> Verdict:
        try:
            async with self._session.post(
                URL(self._base + path, encoded=True), data=message.body, headers=headers,
                timeout=self._timeout, allow_redirects=False, skip_auto_headers=("Content-Type", "User-Agent"),
            ) as answer:  # fmt: skip
                body = await _beginning(answer.content)
                return judge(answer.status, body, answer.headers.get("Retry-After", ""))
        except aiohttp.ClientConnectorError as error:
            return Verdict(
                Kind.AWAY, f"the service can't be reached: {error.strerror or type(error).__name__}"
            )
        except TimeoutError:
            return Verdict(Kind.AGAIN, f"the service did not answer within {self._seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Verdict(Kind.AGAIN, f"the service broke off: {type(error).__name__}")

    def _begin(self, message: Message, topic: str, headers: dict[str, str]) -> Span | None:
        given = {"traceparent": message.traceparent, "tracestate": message.tracestate}
        headers.update({name: value for name, value in given.items() if value})
        if self._tracer is None:
            return None
        parent = _TRACE.extract(given if message.traceparent else {})
        attributes = {
            "messaging.system": self._source,
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.message.id": message.id,
        }
        span = self._tracer.start_span(
            f"process {topic}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes
        )
        if span.get_span_context().is_valid:
            _TRACE.inject(headers, trace.set_span_in_context(span))
        return span


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    body = b""
    async for piece in content.iter_any():
        body += piece
        if len(body) > LONGEST:
            return b""
    return body


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session for one service; a proxy of the environment is not used."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as made:
        yield made
    await asyncio.sleep(0)
