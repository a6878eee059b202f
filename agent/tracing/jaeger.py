"""Reading traces from Jaeger's query API (``/api/traces``, the JSON that its own page uses)."""

import re
from dataclasses import dataclass

import aiohttp
import msgspec

from agent.runtime.errors import Permanent, Transient

TRACE_ID = re.compile(r"[0-9a-f]{16,32}", re.ASCII)
LARGEST = 64 * 1024 * 1024
"""Bytes of a reply beyond which it is refused."""
MICRO = 1e-6


@dataclass(frozen=True)
class Span:
    """One operation of one service in a trace. ``start`` is seconds since the epoch, ``duration`` seconds."""

    id: str
    parent: str | None
    """The parent's id; None for the root. The parent itself may be missing: never sent, or not there yet."""
    service: str
    operation: str
    start: float
    duration: float
    tags: tuple[tuple[str, str | int | float | bool], ...]
    """Attributes in the order of their names; ``span.kind`` is among them."""

    def tag(self, name: str) -> str | int | float | bool | None:
        """An attribute's value, None where the span has none of that name."""
        return dict(self.tags).get(name)


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


class _Trace(msgspec.Struct):
    spans: list[_Span]
    processes: dict[str, _Process]


class _Reply(msgspec.Struct):
    data: list[_Trace] | None = None


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
        return parsed(body) if body else ()

    async def _get(self, path: str) -> bytes:
        """The body of a 200; empty for a 404."""
        doing = f"reading {self._url}{path} from Jaeger"
        try:
            async with self._session.get(self._url + path, timeout=self._timeout) as response:
                if response.status == 404:
                    return b""
                if response.status != 200:
                    kind = Permanent if 400 <= response.status < 500 and response.status != 429 else Transient
                    raise kind(f"{doing}: it answered {response.status}")
                return await _whole(response, doing)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(
                f"{doing}: {error or type(error).__name__}; check that Jaeger runs there"
            ) from error


async def _whole(response: aiohttp.ClientResponse, doing: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > LARGEST:
            raise Permanent(f"{doing}: the reply is larger than {LARGEST} bytes")
    return bytes(body)


def parsed(body: bytes) -> tuple[Span, ...]:
    """The spans in a reply of ``/api/traces``; raises Permanent when it is something else."""
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except msgspec.MsgspecError as error:
        raise Permanent(f"the reply is not that of Jaeger's query API: {error}") from error
    spans = [_span(span, trace.processes) for trace in reply.data or [] for span in trace.spans]
    return tuple(sorted(spans, key=lambda span: (span.start, span.id)))


def _span(span: _Span, processes: dict[str, _Process]) -> Span:
    parents = [one.span_id for one in span.references if one.ref_type == "CHILD_OF"]
    process = processes.get(span.process_id)
    tags = {one.key: one.value for one in span.tags if one.value is not None}
    return Span(
        id=span.span_id,
        parent=parents[0] if parents else None,
        service=process.service_name if process else "",
        operation=span.operation_name,
        start=span.start_time * MICRO,
        duration=span.duration * MICRO,
        tags=tuple(sorted(tags.items())),
    )
