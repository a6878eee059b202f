"""Reading traces from Jaeger's query API (``/api/traces``, the JSON that its own page uses)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import msgspec

from agent.runtime.errors import Permanent, Transient
from agent.runtime.words import words
from agent.tracing.traces import Span

TRACE_ID = re.compile(r"[0-9a-f]{16,32}", re.ASCII)
LARGEST = 64 * 1024 * 1024
"""Bytes of a reply beyond which it is refused."""
MICRO = 1e-6
WHERE = "is that Jaeger's query address (tracing.query)?"


class _Tag(msgspec.Struct):
    key: str
    value: str | int | float | bool | None = None


class _Reference(msgspec.Struct, rename="camel"):
    ref_type: str
    trace_id: str = msgspec.field(name="traceID", default="")
    span_id: str = msgspec.field(name="spanID", default="")


class _Span(msgspec.Struct, rename="camel"):
    span_id: str = msgspec.field(name="spanID")
    operation_name: str
    start_time: int
    duration: int
    process_id: str = msgspec.field(name="processID")
    references: list[_Reference] = []
    tags: list[_Tag] = []


class _Process(msgspec.Struct, rename="camel"):
    service_name: str
    tags: list[_Tag] | None = None


class _Trace(msgspec.Struct, rename="camel"):
    spans: list[_Span]
    processes: dict[str, _Process]
    trace_id: str = msgspec.field(name="traceID", default="")


class _Reply(msgspec.Struct):
    data: list[_Trace] | None = None


class _Names(msgspec.Struct):
    data: list[str] | None = None


@dataclass(frozen=True)
class Window:
    """Traces of a time. ``start`` and ``end`` are seconds since the epoch; ``most`` traces come, the newest."""

    start: float
    end: float
    most: int


class Jaeger:
    """A reader of one Jaeger. ``url`` is its query address, such as ``http://127.0.0.1:16686``."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout: float = 10.0) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def trace(self, trace_id: str) -> tuple[Span, ...]:
        """The spans of a trace that have arrived, by start.

        Empty when Jaeger knows none (they come up to 5 s late).

        Raises Transient when Jaeger is away or ill, Permanent for a wrong id or a reply that is not Jaeger's.
        """
        if not TRACE_ID.fullmatch(trace_id):
            raise Permanent(f"{trace_id[:64]!r} is no trace id: 16 to 32 hexadecimal digits in lower case")
        body = await self._get(f"/api/traces/{trace_id}")
        return parsed(body, self._url) if body else ()

    async def services(self) -> tuple[str, ...]:
        """The names of all services that Jaeger has spans of; raises as ``trace`` does."""
        try:
            reply = msgspec.json.decode(await self._get("/api/services") or b"{}", type=_Names)
        except msgspec.MsgspecError as error:
            raise _foreign(error, self._url) from error
        return tuple(sorted(reply.data or []))

    async def find(
        self, service: str, window: Window, tags: Mapping[str, str] | None = None
    ) -> tuple[tuple[Span, ...], ...]:
        """The traces in which a service has a span that began in the window, and that has all of ``tags``.

        Raises as ``trace`` does.
        """
        asked = {
            "service": service,
            "start": str(round(window.start / MICRO)),
            "end": str(round(window.end / MICRO)),
            "limit": str(window.most),
        }
        if tags:
            asked["tags"] = msgspec.json.encode(dict(tags)).decode()
        body = await self._get("/api/traces", asked)
        return each(body, self._url) if body else ()

    async def _get(self, path: str, asked: Mapping[str, str] | None = None) -> bytes:
        """The body of a 200; empty for a 404."""
        doing = f"reading {self._url}{path} from Jaeger"
        try:
            async with self._session.get(
                self._url + path, params=dict(asked or {}), timeout=self._timeout, allow_redirects=False
            ) as response:
                if response.status == 404:
                    return b""
                if response.status != 200:
                    kind = Permanent if 300 <= response.status < 500 and response.status != 429 else Transient
                    raise kind(f"{doing}: it answered {response.status}; {WHERE}")
                return await _whole(response, doing)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{doing}: {words(error)}; {WHERE}") from error


async def _whole(response: aiohttp.ClientResponse, doing: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > LARGEST:
            raise Permanent(f"{doing}: the reply is larger than {LARGEST} bytes")
    return bytes(body)


def parsed(body: bytes, where: str = "") -> tuple[Span, ...]:
    """All spans in a reply of ``/api/traces``, by start; raises Permanent when it is something else."""
    spans = [span for trace in each(body, where) for span in trace]
    return tuple(sorted(spans, key=lambda span: (span.start, span.id)))


def each(body: bytes, where: str = "") -> tuple[tuple[Span, ...], ...]:
    """The traces in a reply of ``/api/traces``; raises Permanent when it is something else.

    ``where`` it came from, for texts.
    """
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except msgspec.MsgspecError as error:
        raise _foreign(error, where) from error
    return tuple(tuple(_span(span, trace) for span in trace.spans) for trace in reply.data or [])


def _foreign(error: Exception, where: str) -> Permanent:
    of = f" of {where}" if where else ""
    return Permanent(f"the reply{of} is not that of Jaeger's query API: {error}; {WHERE}")


def _span(span: _Span, trace: _Trace) -> Span:
    parents = [one.span_id for one in span.references if one.ref_type == "CHILD_OF"]
    process = trace.processes.get(span.process_id)
    tags = {one.key: one.value for one in span.tags if one.value is not None}
    told = {one.key: one.value for one in (process.tags if process else None) or []}
    return Span(
        id=span.span_id,
        parent=parents[0] if parents else None,
        service=process.service_name if process else "",
        operation=span.operation_name,
        start=span.start_time * MICRO,
        duration=max(0, span.duration) * MICRO,
        tags=tuple(sorted(tags.items())),
        trace=trace.trace_id,
        instance=str(told.get("service.instance.id") or tags.get("node_id") or ""),
    )
