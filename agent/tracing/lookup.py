"""Finding one request in Jaeger, or those of the last minutes, with patience for spans that are on their way."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from agent.config.settings import Settings
from agent.runtime.errors import Permanent
from agent.tracing.jaeger import Window
from agent.tracing.traces import Span

LATE = 6.0
"""Seconds after its end at which a request's spans have arrived: Envoy keeps them for 5 at most."""
AGAIN = 0.5
"""Seconds between two looks."""
QUERY_PORT = 16686
REQUEST_TAG = "guid:x-request-id"
"""Where Envoy notes the request's id."""
LONGEST = 256
AT_ONCE = 4
"""Searches under way at a time."""
MOST_SERVICES = 500
MOST_TRACES = 5000
"""Traces that are held at a time."""


class Traces(Protocol):
    """What is asked of Jaeger; see ``agent.tracing.jaeger.Jaeger``."""

    async def trace(self, trace_id: str) -> tuple[Span, ...]:
        """The spans of a trace that have arrived, empty when there are none."""
        ...

    async def services(self) -> tuple[str, ...]:
        """The names of all services."""
        ...

    async def find(
        self, service: str, window: Window, tags: dict[str, str] | None = None
    ) -> tuple[tuple[Span, ...], ...]:
        """The traces of a service in a time."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What was asked for; a text of 32 hexadecimal digits may be either."""

    trace: str
    """A trace's id; empty when it can't be one."""
    request: str
    """A request's id; empty when it can't be one."""
    sampled: bool = True
    """False where the text itself says that nobody recorded the trace."""


@dataclass(frozen=True)
class Found:
    """What there was of one request."""

    trace: str
    spans: tuple[Span, ...]
    others: tuple[str, ...] = ()
    """Ids of further traces with the same request id, newest first."""
    settled: bool = True
    """Whether all of its spans had time to arrive."""


@dataclass(frozen=True)
class Clock:
    """Time as the search sees it: ``now`` since the epoch, ``sleep`` lets it pass; both in seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def query_url(settings: Settings) -> str:
    """Where Jaeger is asked: ``tracing.query``, else the collector's machine, else this one."""
    if settings.tracing.query:
        return settings.tracing.query.rstrip("/")
    host = urlsplit(settings.tracing.endpoint).hostname or "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{QUERY_PORT}"


def wanted(text: str) -> Wanted:
    """What a person means: a trace's id, a whole ``traceparent``, or a request's id.

    Raises Permanent for what is none of them.
    """
    text = text.strip()
    if whole := re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})(-.*)?", text, re.ASCII):
        return Wanted(whole[1], "", sampled=bool(int(whole[2], 16) & 1))
    if not text or len(text) > LONGEST or not text.isprintable():
        raise Permanent(f"{text[:64]!r} is neither a trace's id nor a request's (X-Request-Id)")
    digits = text.lower() if re.fullmatch(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{16}", text, re.ASCII) else ""
    return Wanted(digits, text)


async def request(
    jaeger: Traces, asked: Wanted, *, wait: float, since: float, clock: Clock | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Found | None:  # fmt: skip
    """The request's spans, once they had time to arrive or ``wait`` seconds are over; None when there are none.

    A request's id is looked for in the last ``since`` seconds. ``say`` is told once that it takes a moment.
    Raises as ``Jaeger.trace`` does.
    """
    clock = clock or Clock()
    began, told = clock.now(), False
    while True:
        found = await _look(jaeger, asked, since, clock.now())
        young = LATE - (clock.now() - _end(found.spans)) if found else wait
        left = wait - (clock.now() - began)
        if young <= 0 or left <= 0:
            return found and Found(found.trace, found.spans, found.others, settled=young <= 0)
        if not told:
            told = True
            say(f"waiting up to {left:.0f} s: spans arrive up to 5 s after a request")
        await clock.sleep(min(AGAIN, left))


async def _look(jaeger: Traces, asked: Wanted, since: float, now: float) -> Found | None:
    spans = await jaeger.trace(asked.trace) if asked.trace else ()
    if spans:
        return Found(asked.trace, spans)
    if not asked.request:
        return None
    window = Window(now - since, now + 60, 20)
    tags = {REQUEST_TAG: asked.request}
    matching = await _search(jaeger, window, tags)
    newest = sorted(matching, key=lambda trace: (-_end(matching[trace]), trace))
    return Found(newest[0], matching[newest[0]], tuple(newest[1:])) if newest else None


async def recent(
    jaeger: Traces, since: float, most: int, service: str = "", clock: Clock | None = None
) -> tuple[tuple[Span, ...], ...]:
    """The traces of the last ``since`` seconds, each once: at most the ``most`` newest of each service, or of one."""
    now = (clock or Clock()).now()
    window = Window(now - since, now + 60, most)
    if service:
        return await jaeger.find(service, window)
    return tuple((await _search(jaeger, window, {})).values())


async def _search(jaeger: Traces, window: Window, tags: dict[str, str]) -> dict[str, tuple[Span, ...]]:
    """The traces of all services by their ids, at most ``MOST_TRACES``."""
    turns = asyncio.Semaphore(AT_ONCE)
    found: dict[str, tuple[Span, ...]] = {}

    async def one(service: str) -> None:
        async with turns:
            for spans in await jaeger.find(service, window, tags):
                if spans and len(found) < MOST_TRACES:
                    found.setdefault(spans[0].trace, spans)

    services = (await jaeger.services())[:MOST_SERVICES]
    await asyncio.gather(*(one(service) for service in services))
    return found


def _end(spans: Sequence[Span]) -> float:
    return max((span.start + span.duration for span in spans), default=0.0)
